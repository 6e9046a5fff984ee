"""What a task's spans are: `task`, and in it each `decide`, the `run` of each node that it was given to, and `judge`.

Times are the servers' own: when a log had the line. So a span has in it what the way to the log took.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from bus.messages import Refused, Result, Verdict
from bus.steps import BARE
from bus.trace import span_id

__all__ = ["Claim", "Given", "History", "Span", "Value", "refusal", "spans"]

type Value = str | int | float | bool | tuple[str, ...]


class Span(NamedTuple):
    """A stretch of time of one service. `instance` is which of them, `parent` "" at the root; `error` says why it failed, "" if not."""

    service: str
    instance: str
    name: str
    trace: str
    id: str
    parent: str
    begin_ms: int
    end_ms: int
    attributes: dict[str, Value]
    error: str = ""


class Given(NamedTuple):
    """A decision at `sequence` in ASSIGNMENTS by `leader`: `attempt` goes to `nodes`; attempt 0 gives the task up."""

    sequence: int
    at_ms: int
    attempt: int
    nodes: tuple[str, ...]
    leader: str


class Claim(NamedTuple):
    """What a node said, at this place (sequence, line) of RESULTS; without its output, which may be large."""

    place: tuple[int, int]
    at_ms: int
    node: str
    decision: int
    attempt: int
    error: str
    about: dict[str, Value]

    @classmethod
    def of(cls, said: Result, place: tuple[int, int], at_ms: int) -> Self:
        """What is kept of a result."""
        error = "" if said.status == "ok" else f"{said.status}: {said.reason}"
        about: dict[str, Value] = {
            "ambient.attempt": said.attempt, "ambient.status": said.status, "ambient.fuel": said.fuel,
            "ambient.guest_ms": said.wall_ms, "ambient.energy_j": said.energy_j, "ambient.energy_method": said.energy_method,
        }  # fmt: skip
        return cls(place, at_ms, said.node, said.decision, said.attempt, error, about)


class History(NamedTuple):
    """All that is known of a task but its end; `asked_ms` None where its submission was not read."""

    trace: str
    asked_ms: int | None
    given: Sequence[Given]
    claims: Sequence[Claim]


def spans(history: History, verdict: Verdict, at_ms: int, judge: str) -> Iterator[Span]:
    """The spans of a task that had its verdict at `at_ms` from the verifier `judge`."""
    trace, client = history.trace, verdict.task.partition(".")[0]
    root = span_id(trace, "task")
    times = [*(each.at_ms for each in history.given), *(each.at_ms for each in history.claims)]
    begin_ms = min([at_ms, *times]) if history.asked_ms is None else history.asked_ms
    error = "" if verdict.status == "verified" else f"{verdict.status}: {verdict.reason}"
    about: dict[str, Value] = {
        "ambient.task": verdict.task, "ambient.status": verdict.status, "ambient.module": f"sha256:{verdict.module}",
        "ambient.attempts": verdict.attempts, "ambient.fuel": verdict.fuel, "ambient.energy_j": verdict.energy_j,
        "ambient.path": verdict.path or BARE,
    }  # fmt: skip
    yield Span("client", client, "task", trace, root, "", begin_ms, at_ms, about, error)
    for given in history.given:
        yield from _attempt(history, given, begin_ms, root)
    counted = [each.at_ms for each in history.claims if each.place in verdict.evidence]
    last_ms = max((*counted, *(() if counted else times)), default=begin_ms)
    voices: dict[str, Value] = {"ambient.agree": verdict.agree, "ambient.dissent": verdict.dissent}
    yield Span(
        "verifier",
        judge,
        "judge",
        trace,
        span_id(trace, "judge"),
        root,
        min(last_ms, at_ms),
        at_ms,
        voices,
        error,
    )


def _attempt(history: History, given: Given, begin_ms: int, root: str) -> Iterator[Span]:
    trace, own = history.trace, span_id(history.trace, "decide", given.attempt)
    before = [each.at_ms for each in history.given if each.sequence < given.sequence]
    before += [each.at_ms for each in history.claims if each.at_ms <= given.at_ms and before]
    about: dict[str, Value] = {"ambient.attempt": given.attempt, "ambient.nodes": given.nodes}
    name = "decide" if given.attempt else "give up"
    yield Span(
        "coordinator", given.leader, name, trace, own, root, max((begin_ms, *before)), given.at_ms, about
    )
    heard: set[str] = set()
    for claim in history.claims:
        answers = (claim.decision, claim.attempt) == (given.sequence, given.attempt)
        if not answers or claim.node not in given.nodes or claim.node in heard:
            continue  # forged, or sent again
        heard.add(claim.node)
        run = span_id(trace, "run", claim.attempt, claim.node)
        yield Span(
            "node", claim.node, "run", trace, run, own, given.at_ms, claim.at_ms, claim.about, claim.error
        )


def refusal(trace: str, task: str, decision: Refused, asked_ms: int, at_ms: int) -> Span:
    """The span of a submission that was no task."""
    about: dict[str, Value] = {
        "ambient.task": task,
        "ambient.status": "refused",
        "ambient.field": decision.field,
        "ambient.path": decision.path or BARE,
    }
    root = span_id(trace, "refused", *decision.source)
    return Span(
        "client",
        decision.client,
        "task",
        trace,
        root,
        "",
        asked_ms,
        at_ms,
        about,
        f"{decision.field} {decision.limit}",
    )
