"""What an audit keeps of the logs as such: their spans and holes, who signed, who led."""

from dataclasses import dataclass
from typing import NamedTuple

from ambient.audit.findings import Leadership, LogSpan, OpenTask, Report, Signer, Tally, Violation
from ambient.audit.promises import PROMISES
from bus.messages import Leader
from bus.reader import Entry
from bus.subjects import LOGS

__all__ = ["Records"]

_NEVER_MS = 2**63


class _Hole(NamedTuple):
    """Sequences that are missing: the one before, and the one after."""

    before: int
    after: int


@dataclass
class _Span:
    """How far a log was read, from `first` to `last`, and what it is known to keep, from `kept` to `end`."""

    kept: int = 1
    end: int = 0
    first: int = 0
    first_ms: int = _NEVER_MS
    last: int = 0
    lines: int = 0


class Records:
    """The spans of the four logs, and the hands that wrote them."""

    def __init__(self) -> None:
        self._spans = {log: _Span() for log in LOGS}
        self._holes: list[tuple[str, _Hole]] = []
        self._signers: dict[str, list[int]] = {}
        self._verdicts: dict[str, int] = {}
        self.leaders: list[list[int | str]] = []
        self.epoch = 0
        self.newest_ms = 0

    def __repr__(self) -> str:
        """How far each log was read."""
        return "Records(" + ", ".join(f"{log}={span.last}" for log, span in self._spans.items()) + ")"

    # Reading

    def read(self, log: str, entry: Entry) -> bool:
        """Note an entry; False where it was read before."""
        span = self._spans[log]
        if entry.sequence <= span.last:
            return False
        if not span.first:
            span.first, span.first_ms = entry.sequence, entry.at_ms
            span.kept = max(span.kept, entry.sequence)
        elif entry.sequence != span.last + 1:
            self._holes.append((log, _Hole(span.last, entry.sequence)))
        span.last = entry.sequence
        self.newest_ms = max(self.newest_ms, entry.at_ms)
        return True

    def spans(self, log: str, first: int, last: int) -> None:
        """The log keeps what is from `first` to `last` now."""
        span = self._spans[log]
        span.kept = max(span.kept, first)
        span.end = max(span.end, last)

    def line(self, log: str, count: int = 1) -> None:
        """So many lines more."""
        self._spans[log].lines += count

    def is_trimmed(self, log: str) -> bool:
        """Whether anything of it was trimmed."""
        return self._spans[log].kept > 1

    @property
    def kept(self) -> dict[str, int]:
        """The first kept sequence of each log."""
        return {log: span.kept for log, span in self._spans.items()}

    @property
    def since_ms(self) -> dict[str, int]:
        """When the first entry that was read was stored; far in the future where there is none."""
        return {log: span.first_ms for log, span in self._spans.items()}

    def check_whole(self, tally: Tally) -> None:
        """A sequence that is missing was deleted, unless the log was trimmed meanwhile."""
        for log, span in self._spans.items():
            end = max(span.end, span.last)
            tally.examined("whole", max(0, end - span.kept + 1))
            holes = [hole for name, hole in self._holes if name == log]
            if span.last < end:
                holes.append(_Hole(max(span.last, span.kept - 1), end + 1))
            for before, after in holes:
                missing = after - max(before, span.kept - 1) - 1
                if missing > 0:
                    tally.violated(
                        "whole", "", log, (after - 1, 0), f"{missing} messages up to this are missing"
                    )
                else:
                    tally.trimmed("whole")

    # Hands

    def lead(self, leader: Leader, sequence: int) -> bool:
        """Note a leadership; whether its epoch is higher than all before."""
        higher = leader.epoch > self.epoch
        self.epoch = max(self.epoch, leader.epoch)
        self.leaders.append([leader.epoch, leader.leader, sequence, 0])
        return higher

    def decided(self) -> None:
        """A line belongs to whoever leads."""
        if self.leaders:
            self.leaders[-1][3] += 1  # type: ignore[operator]

    def signed(self, key: str, sequence: int, lines: int) -> None:
        """A key signed a message of VERDICTS."""
        counts = self._signers.setdefault(key, [0, 0, sequence, sequence])
        counts[0] += 1
        counts[1] += lines
        counts[3] = sequence

    def verdict(self, status: str) -> None:
        """A verdict of that status."""
        self._verdicts[status] = self._verdicts.get(status, 0) + 1

    # Reporting

    def report(
        self, tally: Tally, *, open_tasks: list[OpenTask], tasks: int, refused: int, claims: int, ignored: int
    ) -> Report:
        """Everything together."""
        violations = sorted(tally.violations, key=_order)
        return Report(
            holds=not violations,
            promises=tally.promises(violations),
            violations=tuple(violations),
            open=tuple(open_tasks),
            tasks=tasks,
            verdicts=dict(sorted(self._verdicts.items())),
            refused=refused,
            claims=claims,
            claims_ignored=ignored,
            logs=tuple(LogSpan(log, span.kept, span.last, span.lines) for log, span in self._spans.items()),
            signers=tuple(Signer(key, *counts) for key, counts in self._signers.items()),
            leaders=tuple(Leadership(*led) for led in self.leaders),  # type: ignore[arg-type]
        )


_PROMISE_ORDER = {name: at for at, name in enumerate(PROMISES)}
_LOG_ORDER = {log: at for at, log in enumerate(LOGS)}


def _order(violation: Violation) -> tuple[int, int, int, int, str, str]:
    """By promise, then by place, however the logs were interleaved."""
    return (
        _PROMISE_ORDER[violation.promise], _LOG_ORDER[violation.log], violation.sequence, violation.line,
        violation.task, violation.detail,
    )  # fmt: skip
