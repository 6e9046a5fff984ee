"""The whole view: what an entry of a log changes, and what event it becomes. Pure: `deliver` is all there is."""

from collections.abc import Callable
from typing import Any

from bus.messages import (
    Abandoned,
    Assigned,
    Built,
    Enrolled,
    Leader,
    LedgerState,
    Ordered,
    Quorum,
    Refused,
    Signed,
    VerifyPolicy,
)
from bus.reader import Entry
from gateway.resources.events import LogItem
from gateway.view.anchors import Anchors
from gateway.view.book import Book
from gateway.view.lines import (
    InconclusiveLine,
    LateLine,
    VerdictLine,
    anchor_lines,
    asked_lines,
    claimed_lines,
    decision_lines,
    submission_name,
    verdict_lines,
)
from gateway.view.meter import Meter
from gateway.view.ring import ALL_LOGS, Kept, Ring

__all__ = ["View", "items_of"]


class View:
    """All that this gateway has folded."""

    def __init__(self, keep_tasks: int) -> None:
        self.book = Book(keep_tasks)
        self.anchors = Anchors()
        self.meter = Meter()
        self.rings = {log: Ring(log) for log in ALL_LOGS}
        self.enrolled: dict[str, tuple[int, int]] = {}

    def __repr__(self) -> str:
        """How far each log is folded."""
        return f"View({', '.join(f'{log}={ring.last}' for log, ring in self.rings.items())})"

    def deliver(self, log: str, entry: Entry) -> None:
        """Fold the next entry of a log."""
        items = _FOLDS[log](self, entry)
        self.rings[log].put(Kept(log, entry.sequence, entry.at_ms, items))

    def _tasks(self, entry: Entry) -> list[LogItem]:
        verb, client = entry.subject.rsplit(".", 2)[1:]
        items = []
        for line, raw, asked, together in asked_lines(entry):
            source = (entry.sequence, line)
            name = submission_name(client, asked.id if asked is not None else None, source, together=together)
            if verb == "cancel":
                items.append(LogItem(kind="cancel", task=name, client=client))
                continue
            self.book.asked(name, source, entry.at_ms, asked, raw)
            self.meter.count("asked", entry.at_ms)
            items.append(LogItem(kind="asked", task=name, client=client))
        return items

    def _assignments(self, entry: Entry) -> list[LogItem]:
        sequence, at_ms, book = entry.sequence, entry.at_ms, self.book
        items = []
        for _, line in decision_lines(entry):
            if type(line) is Assigned:
                book.assigned(line, sequence, at_ms)
                self.meter.count("decided", at_ms)
            elif isinstance(line, Abandoned):
                book.abandoned(line, sequence, at_ms)
            elif isinstance(line, Refused):
                book.refused(line, sequence, at_ms)
            elif isinstance(line, Enrolled):
                self.enrolled[line.node] = (sequence, at_ms)
            items.append(_decision_item(line))
        return items

    def _results(self, entry: Entry) -> list[LogItem]:
        items = []
        for number, line in claimed_lines(entry):
            self.book.claimed(line, (entry.sequence, number), entry.at_ms)
            self.meter.count("claimed", entry.at_ms)
            items.append(_claim_item(line))
        return items

    def _verdicts(self, entry: Entry) -> list[LogItem]:
        at_ms, meter = entry.at_ms, self.meter
        items = []
        for number, line in verdict_lines(entry):
            if type(line) is VerdictLine:
                record = self.book.accepted(line, (entry.sequence, number), at_ms)
                waited = max(0, at_ms - record.asked_ms) if record.asked_ms else None
                meter.accepted(at_ms, waited, line.energy_j, line.fuel)
                meter.count("accepted", at_ms)
                if line.status == "failed":
                    meter.count("failed", at_ms)
                if line.dissent:
                    meter.count("dissents", at_ms)
            items.append(_verdict_item(line))
        return items

    def _anchors(self, entry: Entry) -> list[LogItem]:
        items = []
        for _, line in anchor_lines(entry):
            self.anchors.fold(line, entry.sequence, entry.at_ms)
            items.append(_anchor_item(line))
        return items


_FOLDS: dict[str, Callable[[View, Entry], list[LogItem]]] = {
    "tasks": View._tasks,  # noqa: SLF001 -- its own methods
    "assignments": View._assignments,  # noqa: SLF001
    "results": View._results,  # noqa: SLF001
    "verdicts": View._verdicts,  # noqa: SLF001
    "anchors": View._anchors,  # noqa: SLF001
}


def items_of(log: str, entry: Entry) -> list[LogItem]:
    """The event of an entry that is read again, for a stream that is behind; nothing is folded."""
    match log:
        case "assignments":
            return [_decision_item(line) for _, line in decision_lines(entry)]
        case "results":
            return [_claim_item(line) for _, line in claimed_lines(entry)]
        case "verdicts":
            return [_verdict_item(line) for _, line in verdict_lines(entry)]
        case "anchors":
            return [_anchor_item(line) for _, line in anchor_lines(entry)]
        case _:
            return _task_items(entry)


def _task_items(entry: Entry) -> list[LogItem]:
    verb, client = entry.subject.rsplit(".", 2)[1:]
    kind = "cancel" if verb == "cancel" else "asked"
    return [
        LogItem(
            kind=kind,
            client=client,
            task=submission_name(
                client, asked.id if asked else None, (entry.sequence, line), together=together
            ),
        )
        for line, _, asked, together in asked_lines(entry)
    ]


def _decision_item(line: Any) -> LogItem:
    match line:
        case Assigned():
            return LogItem(kind="assigned", task=line.task, attempt=line.attempt, nodes=line.nodes)
        case Abandoned():
            return LogItem(kind="abandoned", task=line.task, status=line.status, reason=line.reason)
        case Refused():
            return LogItem(
                kind="refused",
                task=line.task or "",
                client=line.client,
                field=line.field,
                limit=line.limit,
            )
        case Enrolled():
            return LogItem(kind="enrolled", node=line.node)
        case _:
            return _leader_item(line)


_ANCHOR_KINDS: dict[type, str] = {Signed: "sealed", LedgerState: "ledger", Ordered: "order"}
_ANCHOR_FIELDS = ("size", "verdicts", "epoch", "number", "txid", "height", "task", "field", "limit")
"""Of a line of ANCHORS, what an event tells; they are called the same there."""


def _leader_item(line: Leader) -> LogItem:
    return LogItem(kind="leader", node=line.leader, epoch=line.epoch)


def _claim_item(line: Any) -> LogItem:
    return LogItem(
        kind="claimed",
        task=line.task,
        node=line.node,
        attempt=line.attempt,
        status=line.status,
        reason=line.reason,
        wall_ms=line.wall_ms,
    )


def policy_text(policy: VerifyPolicy) -> str:
    """A policy as people write it."""
    return f"quorum:{policy.agree}/{policy.of}" if isinstance(policy, Quorum) else "signature"


def _verdict_item(line: Any) -> LogItem:
    match line:
        case VerdictLine():
            return LogItem(
                kind="accepted",
                task=line.task,
                status=line.status,
                reason=line.reason,
                agree=line.agree,
                dissent=line.dissent,
                policy=policy_text(line.verify),
                fuel=line.fuel,
                energy_j=line.energy_j,
                wall_ms=line.wall_ms,
            )
        case InconclusiveLine():
            return LogItem(kind="inconclusive", task=line.task, reason=line.reason)
        case LateLine():
            return LogItem(kind="late", task=line.task, node=line.node)
        case _:
            return _leader_item(line)


def _anchor_item(line: Any) -> LogItem:
    if isinstance(line, Leader):
        return _leader_item(line)
    kind = _ANCHOR_KINDS.get(type(line), type(line).__name__.lower())
    said = {name: value for name in _ANCHOR_FIELDS if (value := getattr(line, name, None))}
    if isinstance(line, Built):
        said["size"] = max((root.size for root in line.roots), default=0)
    return LogItem(kind=kind, **said)
