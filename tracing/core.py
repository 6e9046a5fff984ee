"""From the four logs to spans: a fold without I/O, the clock passed in.

Guarantees that the spans of a task depend on what the logs say of it, not on how their reading was interleaved; that memory is bounded,
whatever is open or lost; and that a task whose logs are not read in time is told with what is known. A task is told once, when it has
its end: until then nobody knows which attempt was the last.

Signatures of claims are checked, verdicts are taken as they are: a trace is for looking at, a receipt is for proving.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from bus.errors import BadSignature, Malformed
from bus.messages import Abandoned, Assigned, Decision, Leader, Refused, Result, Verdict, VerdictLine
from bus.reader import Entry
from bus.signing import RESULTS, VERDICTS, open_signed
from bus.trace import is_sampled, trace_id
from bus.wire import decode, decoder, split_lines
from tracing.spans import Claim, Given, History, Span, refusal, spans

__all__ = ["Core"]

_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(Decision)
_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)
_RESULT = decoder(Result)
_WAIT_MS = 5_000
_MOST_OPEN = 100_000
_MOST_ASKED = 500_000


class _End(NamedTuple):
    """A verdict or refusal of `task` that waits until what it rests on has been read, or until `until_ms`."""

    task: str
    said: Verdict | Refused
    at_ms: int
    leader: str
    until_ms: int


@dataclass
class _Heard:
    """What is known of an open task."""

    given: list[Given] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


class Core:
    """Feed it entries with `fold`, each log in order; `take` gives the spans of tasks that ended.

    Of all tasks, the share of `share` (0 to 1) is traced, the same ones wherever it is asked. `lost` counts tasks that were let go
    before their end, as more than `most_open` were open.
    """

    def __init__(self, cluster: str, *, share: float = 1.0, most_open: int = _MOST_OPEN) -> None:
        self.lost = 0
        self._cluster = cluster
        self._share = share
        self._most_open = most_open
        self._positions = dict.fromkeys(("tasks", "assignments", "results", "verdicts"), 0)
        self._asked_ms: dict[int, int] = {}
        self._open: dict[str, _Heard] = {}
        self._ends: deque[_End] = deque()
        self._done: list[Span] = []
        self._leaders = {"assignments": "", "verdicts": ""}

    def __repr__(self) -> str:
        """How much is open, and how much waits."""
        return f"Core(open={len(self._open)}, ends={len(self._ends)}, lost={self.lost})"

    def fold(self, log: str, entry: Entry, now_ms: int) -> None:
        """Take in the next entry of one of the four logs; what is not understood is passed over."""
        self._positions[log] = entry.sequence
        try:
            match log:
                case "tasks":
                    self._asked(entry)
                case "assignments":
                    for line in split_lines(entry.body):
                        self._decided(decode(line, _DECISION), entry, now_ms)
                case "results":
                    self._claimed(entry)
                case _:
                    _, lines = open_signed(entry.body, VERDICTS)
                    for line in lines:
                        self._judged(decode(line, _LINE), entry, now_ms)
        except (Malformed, BadSignature):
            return

    def take(self, now_ms: int) -> list[Span]:
        """The spans of all tasks that ended and are known, or have waited long enough to be."""
        waiting: deque[_End] = deque()
        for end in self._ends:
            if now_ms >= end.until_ms or self._is_known(end.said):
                self._tell(end)
            else:
                waiting.append(end)
        self._ends = waiting
        done, self._done = self._done, []
        return done

    # What the logs say

    def _asked(self, entry: Entry) -> None:
        self._asked_ms[entry.sequence] = entry.at_ms
        if len(self._asked_ms) > _MOST_ASKED:
            del self._asked_ms[next(iter(self._asked_ms))]

    def _decided(self, decision: Decision, entry: Entry, now_ms: int) -> None:
        match decision:
            case Leader():
                self._leaders["assignments"] = decision.leader
            case Assigned() if (heard := self._of(decision.task)) is not None:
                leader = self._leaders["assignments"]
                heard.given.append(
                    Given(entry.sequence, entry.at_ms, decision.attempt, decision.nodes, leader)
                )
            case Abandoned() if (heard := self._of(decision.task)) is not None:
                heard.given.append(Given(entry.sequence, entry.at_ms, 0, (), self._leaders["assignments"]))
            case Refused() if decision.task:
                name = decision.task if "." in decision.task else f"{decision.client}.{decision.task}"
                self._end(name, decision, entry.at_ms, now_ms)

    def _claimed(self, entry: Entry) -> None:
        _, lines = open_signed(entry.body, RESULTS)
        for number, line in enumerate(lines):
            said = decode(line, _RESULT)
            if (heard := self._of(said.task)) is not None:
                heard.claims.append(Claim.of(said, (entry.sequence, number), entry.at_ms))

    def _judged(self, line: VerdictLine, entry: Entry, now_ms: int) -> None:
        match line:
            case Leader():
                self._leaders["verdicts"] = line.leader
            case Verdict():
                self._end(line.task, line, entry.at_ms, now_ms)

    def _end(self, task: str, said: Verdict | Refused, at_ms: int, now_ms: int) -> None:
        if self._is_traced(task):
            self._ends.append(_End(task, said, at_ms, self._leaders["verdicts"], now_ms + _WAIT_MS))

    # What becomes of it

    def _is_traced(self, task: str) -> bool:
        return is_sampled(trace_id(self._cluster, task), self._share)

    def _of(self, task: str) -> _Heard | None:
        heard = self._open.get(task)
        if heard is None and self._is_traced(task):
            heard = self._open[task] = _Heard()
            if len(self._open) > self._most_open:
                del self._open[next(iter(self._open))]
                self.lost += 1
        return heard

    def _is_known(self, said: Verdict | Refused) -> bool:
        if self._positions["tasks"] < said.source[0]:
            return False
        if isinstance(said, Refused):
            return True
        heard = self._open.get(said.task)
        given = heard.given if heard is not None else []
        attempts = sum(each.attempt > 0 for each in given)
        last = max((sequence for sequence, _ in said.evidence), default=0)
        return (
            self._positions["results"] >= last
            and attempts >= said.attempts
            and (bool(said.evidence) or len(given) > attempts)
        )

    def _tell(self, end: _End) -> None:
        trace, asked_ms = trace_id(self._cluster, end.task), self._asked_ms.get(end.said.source[0])
        if isinstance(end.said, Refused):
            self._done.append(refusal(trace, end.task, end.said, asked_ms or end.at_ms, end.at_ms))
            return
        heard = self._open.pop(end.task, None) or _Heard()
        history = History(trace, asked_ms, heard.given, heard.claims)
        self._done += spans(history, end.said, end.at_ms, end.leader)
