"""Of tasks: the coordinator's part (what waits, what was decided, how long each stage took) and the verifier's (what was accepted)."""

from metrics.metric import STAGE_S, Metric

__all__ = ["ROWS"]

ROWS = (
    Metric(
        "ambient_tasks_read_total", "counter", (),
        "Submissions that were read while this coordinator led, the well-formed ones.",
    ),
    Metric(
        "ambient_tasks_refused_total", "counter", (),
        "Submissions that it refused, malformed or unfit; each got its reason back.",
    ),
    Metric(
        "ambient_waiting_tasks", "gauge", (),
        "Tasks that wait for a node.",
    ),
    Metric(
        "ambient_hopeless_tasks", "gauge", (),
        "Of these, tasks that no node fits whatever its room: `ambient why` says what they ask for.",
    ),
    Metric(
        "ambient_queue_age_seconds", "gauge", (),
        "How long the oldest waiting task has waited since it was submitted, 0 where none waits; "
        "of more than a thousand kinds of tasks the first thousand are looked at.",
    ),
    Metric(
        "ambient_gate_shut", "gauge", (),
        "1 where new tasks are refused before they are stored, because enough wait.",
    ),
    Metric(
        "ambient_decisions_total", "counter", ("kind",),
        "Attempts that were decided: `first` ones, `retry` to make good what was lost, `more` as the verifier wanted more results.",
    ),
    Metric(
        "ambient_lost_attempts_total", "counter", (),
        "Attempts that were given up because their node died, left, drained or let them lie.",
    ),
    Metric(
        "ambient_task_stage_seconds", "histogram", ("stage",),
        "How long a stage took, by the servers' clock: `decide` from submitted to decided and durable (first attempts), `run` from there "
        "to claimed, `judge` from the last claim to the verdict.",
        STAGE_S,
    ),
    Metric(
        "ambient_task_seconds", "histogram", ("status",),
        "From submitted to the verdict; the exemplar of a bucket names its newest task, for `ambient why`, and that task's trace.",
        STAGE_S,
    ),
    Metric(
        "ambient_verdicts_total", "counter", ("status", "policy"),
        "Verdicts that this verifier wrote, by status and by the policy that was applied.",
    ),
    Metric(
        "ambient_unverified_total", "counter", ("reason",),
        "Verdicts other than `verified`, by reason: the guest's own (`trap`, `exit`, `fuel`, `memory`, …), `attempts`, `cancelled`, `deadline`, or `other`.",
    ),
    Metric(
        "ambient_dissents_total", "counter", (),
        "Results that contradicted a verdict, those that came after it included.",
    ),
    Metric(
        "ambient_inconclusive_total", "counter", (),
        "How often a policy was not satisfied by what came, and more results were asked for.",
    ),
    Metric(
        "ambient_results_ignored_total", "counter", ("reason",),
        "Results that could not count, by reason: late duplicates are harmless, `wrong key` and `future decision` are attempts at fraud.",
    ),
    Metric(
        "ambient_held_results", "gauge", (),
        "Entries of RESULTS that wait for the decisions that they answer.",
    ),
    Metric(
        "ambient_verified_fuel_total", "counter", (),
        "Instructions of accepted results, each task counted once.",
    ),
    Metric(
        "ambient_verified_energy_joules_total", "counter", ("method",),
        "Energy of the results that were counted, of all nodes that took part: `measured`, `estimated`, or `mixed`.",
    ),
)  # fmt: skip
