"""Tasks from submitted to accepted: what waits, what was decided, what came of it."""

from grafana.panel import Board, Limit, Panel, Query, Row, quantiles

__all__ = ["BOARD"]

_PROMISES = Row("What is promised", (
    Panel(
        "Tasks that got an answer", "percentunit",
        "Share of verdicts of the last hour that are an answer, the guest's own failures included: what remains ran out of attempts or time. The objective is 99.9 %; the runbook is docs/runbooks/success-budget.md.",
        (Query("1 - ambient:unanswered:ratio_rate1h", "last hour"),), "number", Limit(0.999, 0.99, falling=True), 6,
    ),
    Panel(
        "Decided within 10 s", "percentunit",
        "Share of tasks of the last hour that had nodes within 10 s. The objective is 99 %. Below, nodes are too few: docs/runbooks/decision-budget.md.",
        (Query("1 - ambient:late_decisions:ratio_rate1h", "last hour"),), "number", Limit(0.99, 0.9, falling=True), 6,
    ),
    Panel(
        "Judged within 1 s", "percentunit",
        "Share of verdicts of the last hour that came within a second of the last claim. The objective is 99.5 %. Below, the verifier or the bus is slow: docs/runbooks/verdict-budget.md.",
        (Query("1 - ambient:late_verdicts:ratio_rate1h", "last hour"),), "number", Limit(0.995, 0.95, falling=True), 6,
    ),
    Panel(
        "Submissions", "short",
        "1 where new tasks are refused before they are stored, because enough wait; clients are told when to come back. When it stays at 1, add nodes (docs/backpressure.md).",
        (Query("max(ambient_gate_shut{@})", "gate shut"),), "number", Limit(1, 1), 6,
    ),
))  # fmt: skip

_WAITING = Row("Asked and waiting", (
    Panel(
        "Read and refused", "ops",
        "Submissions that were read, and those refused as malformed or unfit. A burst of refusals is one client's mistake: it was told field and limit.",
        (
            Query("sum(rate(ambient_tasks_read_total{@}[$__rate_interval]))", "read"),
            Query("sum(rate(ambient_tasks_refused_total{@}[$__rate_interval]))", "refused"),
        ),
    ),
    Panel(
        "Waiting for a node", "short",
        "Tasks that wait, and those that no node fits whatever its room. `ambient why TASK` says what a hopeless one asks for.",
        (
            Query("max(ambient_waiting_tasks{@})", "waiting"),
            Query("max(ambient_hopeless_tasks{@})", "hopeless"),
        ), "lines", Limit(10_000, 100_000),
    ),
    Panel(
        "Age of the queue", "s",
        "How long the oldest waiting task has waited. It grows while one cannot be placed: see the hopeless ones, and slots in use on the board Nodes.",
        (Query("max(ambient_queue_age_seconds{@})", "oldest"),), "lines", Limit(60, 600),
    ),
))  # fmt: skip

_STAGES = Row("How long it took", (
    Panel(
        "Each stage, 95 of 100", "s",
        "`decide`: until it had nodes. `run`: until the last of them claimed. `judge`: until the verdict. The stage that grew is the one to look at: room, nodes, verifier.",
        quantiles("ambient_task_stage_seconds", "stage", of=(0.95,)),
    ),
    Panel(
        "Each stage, the middle", "s",
        "The same for the median. Where it is fine and the panel beside is not, a few tasks or nodes are slow and not the whole.",
        quantiles("ambient_task_stage_seconds", "stage", of=(0.5,)),
    ),
    Panel(
        "Whole time by status", "s",
        "95 of 100 tasks, from submitted to the verdict. Cancelled and expired ones end when they are told to; a rise of `verified` is a rise of one of the stages.",
        quantiles("ambient_task_seconds", "status", of=(0.95,)),
    ),
))  # fmt: skip

_DECISIONS = Row("Decided", (
    Panel(
        "Attempts by kind", "ops",
        "`first` attempts, `retry` for what was lost, `more` as the verifier wanted more results. Retries without dead nodes: see lost attempts on the board Nodes. Many `more`: nodes disagree, see dissents.",
        (Query("sum by (kind) (rate(ambient_decisions_total{@}[$__rate_interval]))", "{{kind}}"),), "stack",
    ),
    Panel(
        "Verdicts by status", "ops",
        "What is accepted. A rise of `failed` is told apart by reason in the panel beside.",
        (Query("sum by (status) (rate(ambient_verdicts_total{@}[$__rate_interval]))", "{{status}}"),), "stack",
    ),
    Panel(
        "Other than verified, by reason", "ops",
        "`trap`, `exit`, `fuel`, `memory` and the like are the guest's own ends: tell its author. `attempts` is ours: nodes failed again and again. `deadline`: too slow for what was asked.",
        (Query("sum by (reason) (rate(ambient_unverified_total{@}[$__rate_interval]))", "{{reason}}"),), "stack",
    ),
    Panel(
        "Verdicts by policy", "ops",
        "How much is believed on one node's word (`signature`) and how much on several (`quorum`). Where answers matter, the first should be small.",
        (Query("sum by (policy) (rate(ambient_verdicts_total{@}[$__rate_interval]))", "{{policy}}"),), "stack",
    ),
    Panel(
        "Dissents", "ops",
        "Results that contradicted a verdict. There should be none: `ambient nodes` shows whose; the node is broken or lies, and a steady rate wants it out (`ambient node drain NAME`).",
        (
            Query("sum(rate(ambient_dissents_total{@}[$__rate_interval]))", "dissents"),
            Query("sum(rate(ambient_inconclusive_total{@}[$__rate_interval]))", "inconclusive"),
        ), "lines", Limit(0.1, 1),
    ),
    Panel(
        "Results that could not count", "ops",
        "By reason. `duplicate` and `settled` are harmless. `wrong key` and `future decision` are somebody who writes in another's name: restrict who may publish to RESULTS.",
        (Query("sum by (reason) (rate(ambient_results_ignored_total{@}[$__rate_interval]))", "{{reason}}"),), "stack",
    ),
    Panel(
        "Results held back", "short",
        "Entries of RESULTS that wait for the decisions that they answer. More than a moment's worth: the verifier is behind in ASSIGNMENTS, or results answer decisions that do not exist.",
        (Query("max(ambient_held_results{@})", "held"),), "lines", Limit(64, 256),
    ),
))  # fmt: skip

BOARD = Board(
    "ambient-tasks", "Ambient: Tasks and verdicts",
    "What is asked, what waits, how long each stage takes, and what is accepted.",
    (_PROMISES, _WAITING, _STAGES, _DECISIONS),
)  # fmt: skip
