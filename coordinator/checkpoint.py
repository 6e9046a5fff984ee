"""A coordinator's fold as bytes, and back.

Guarantees that a fold which is restored and goes on from its positions ends in the state of one that folded the logs from their
beginnings. What a leader has decided and not yet written must not be kept, so a leader packs when all of it is durable
(`coordinator.term`). What it saw of its nodes is found out again: who is lost, and how they are.

`VERSION` changes whenever older bytes would be read wrongly: they are then passed over, and the logs are folded.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

import msgspec

from bus.errors import Malformed
from bus.messages import Capabilities, Inconclusive, Refused, TaskSpec
from bus.wire import decode, decoder
from coordinator.fold import Fold
from coordinator.room import UNKNOWN_MS
from coordinator.tasks import LOST, RUNNING, Holder, Source, Submission, Task
from folds.errors import CheckpointUnusable
from folds.runs import Run
from folds.trimming import Mark

__all__ = ["VERSION", "pack", "restore"]

VERSION = 1


class _Row(msgspec.Struct, array_like=True):
    """A packed thing: its fields in order, without their names."""


class _Held(_Row):
    attempt: int
    node: str
    decision: int
    state: int
    deliveries: int
    since_ms: int
    sent_ms: int
    renewed_ms: int


class _Asked(_Row):
    source: Source
    at_ms: int
    raw: bytes
    digest: bytes
    together: bool
    path: str = ""


class _Open(_Row):
    name: str
    source: Source
    arrival_ms: int
    raw: bytes | None
    digest: bytes
    input: str
    together: bool
    cancelled: int
    closing: bool
    attempt: int
    holders: list[_Held]
    excluded: list[str]
    need: int
    need_after: int
    answered_need: int
    quiet_since_ms: int
    claimed: int
    rivals: list[_Asked]
    held: int = 0
    path: str = ""


class _Node(_Row):
    name: str
    key: str
    capabilities: Capabilities
    enrolled: int


class _State(msgspec.Struct):
    positions: dict[str, int]
    epoch: int
    judged_to: int
    read_to: int
    nodes: list[_Node]
    reputation: list[tuple[str, int, int, int]]
    estimates: list[tuple[str, str, float]]
    open: list[_Open]
    refusals: list[Refused]
    refused_ahead: list[Source]
    refused: list[tuple[str, Refused]]
    early_needs: list[Inconclusive]
    early_claims: list[tuple[tuple[str, str, int], tuple[int, int]]]
    ended: list[str]
    finished: bytes
    finished_last: int
    marks: list[Mark]
    purses: list[tuple[str, int, int]] = []
    orders: list[str] = []


_ENCODE = msgspec.msgpack.Encoder().encode
_STATE = msgspec.msgpack.Decoder(_State)
_SPEC = decoder(TaskSpec)


def pack(fold: Fold) -> bytes:
    """All that the logs have told this fold, but for what is in runs. Nothing in it may be undecided."""
    ledger, registry = fold.ledger, fold.registry
    finished, last = ledger.finished.pack()
    names = [registry.name(row) for row in range(len(registry))]
    return _ENCODE(
        _State(
            positions=fold.positions,
            epoch=fold.epoch,
            judged_to=fold.judged_to,
            read_to=ledger.read_to,
            nodes=[
                _Node(name, registry.key(name) or "", registry.capabilities[row], fold.enrolled.get(name, 0))
                for row, name in enumerate(names)
            ],
            reputation=list(fold.reputation),
            estimates=ledger.shapes.learnt(),
            open=[_packed(task) for task in ledger.open.values()],
            refusals=list(ledger.refusals.values()),
            refused_ahead=sorted(ledger.refused_ahead),
            refused=list(ledger.refused.items()),
            early_needs=list(ledger.early_needs.values()),
            early_claims=list(fold.early_claims.items()),
            ended=list(ledger.ended),
            finished=finished,
            finished_last=last,
            marks=fold.marks,
            purses=list(ledger.purses),
            orders=ledger.purses.orders,
        )
    )


def restore(fold: Fold, packed: bytes, runs: Sequence[Run], now_ms: int) -> None:
    """Let a new fold be what was packed; nodes count as first noted at `now_ms`. Raises `CheckpointUnusable`."""
    try:
        state = _STATE.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CheckpointUnusable(f"the coordinator's state cannot be read: {error}") from None
    # Everything that can be refused is read before anything is changed.
    tasks = [(each, _asked(each)) for each in state.open]
    ledger = fold.ledger
    fold.positions.update(state.positions)
    fold.epoch, fold.judged_to, ledger.read_to = state.epoch, state.judged_to, state.read_to
    for node in state.nodes:
        fold.registry.enrol(node.name, node.key, node.capabilities, now_ms, present=False)
        fold.enrolled[node.name] = node.enrolled
    fold.reputation.restore(state.reputation)
    ledger.shapes.know(state.estimates)
    ledger.refusals = {each.source: each for each in state.refusals}
    ledger.refused_ahead = set(state.refused_ahead)
    ledger.refused = OrderedDict(state.refused)
    ledger.early_needs = {each.task: each for each in state.early_needs}
    ledger.ended = deque(state.ended, maxlen=ledger.ended.maxlen)
    ledger.finished.unpack(state.finished, state.finished_last, runs)
    ledger.purses.restore(state.purses, state.orders)
    fold.early_claims = dict(state.early_claims)
    fold.marks = state.marks
    for each, asked in tasks:
        _unpack(fold, each, asked)


def _packed(task: Task) -> _Open:
    return _Open(
        task.name,
        task.source,
        task.arrival_ms,
        task.raw,
        task.digest,
        task.input,
        task.together,
        task.cancelled,
        task.closing,
        task.attempt,
        list(map(_held, task.holders)),
        sorted(task.excluded),
        task.need,
        task.need_after,
        task.answered_need,
        task.quiet_since_ms,
        task.claimed,
        [_Asked(r.source, r.at_ms, r.raw, r.digest, r.together, r.path) for r in task.rivals or ()],
        # Of a task that was never assigned no log says yet that anything is held: whoever leads next admits it anew.
        task.held if task.attempt else 0,
        task.path,
    )


def _held(holder: Holder) -> _Held:
    # Given up is what no log says; a result of a holder that is given up frees it in every fold but the leader's.
    state = RUNNING if holder.state == LOST else holder.state
    return _Held(
        holder.attempt,
        holder.node,
        holder.decision,
        state,
        holder.deliveries,
        holder.since_ms,
        holder.sent_ms,
        holder.renewed_ms,
    )


def _asked(packed: _Open) -> tuple[Submission | None, list[Submission]]:
    """What was submitted under the name: by its owner, where that has been read, and by others."""
    own = None
    if packed.raw is not None:
        asked = _Asked(
            packed.source, packed.arrival_ms, packed.raw, packed.digest, packed.together, packed.path
        )
        own = _submission(packed.name, asked)
    return own, [_submission(packed.name, rival) for rival in packed.rivals]


def _unpack(fold: Fold, packed: _Open, asked: tuple[Submission | None, list[Submission]]) -> None:
    task = Task(packed.name, packed.source, packed.arrival_ms)
    task.digest, task.input, task.together = packed.digest, packed.input, packed.together
    task.path = packed.path
    task.cancelled, task.closing, task.attempt = packed.cancelled, packed.closing, packed.attempt
    task.closing_durable = task.closing  # what is kept is durable
    task.excluded = frozenset(packed.excluded)
    task.need, task.need_after, task.answered_need = packed.need, packed.need_after, packed.answered_need
    own, rivals = asked
    if own is not None:
        fold.ledger.attach(task, own)
    task.quiet_since_ms, task.claimed = packed.quiet_since_ms, packed.claimed
    task.rivals = rivals or None
    if packed.held:
        fold.ledger.hold(task, packed.held)
    fold.ledger.open[task.name] = task
    for held in packed.holders:
        _hold(fold, task, held)


def _submission(name: str, asked: _Asked) -> Submission:
    try:
        spec = decode(asked.raw, _SPEC)
    except Malformed as error:
        raise CheckpointUnusable(
            f"task {name} is kept in a form that is not read any more: {error}"
        ) from None
    return Submission(
        name, asked.source, asked.at_ms, asked.raw, asked.digest, spec, asked.together, asked.path
    )


def _hold(fold: Fold, task: Task, held: _Held) -> None:
    expected_ms = task.shape.estimate.expected_ms if task.shape is not None else None
    holder = Holder(
        task,
        held.attempt,
        held.node,
        fold.registry.row(held.node),
        now_ms=held.since_ms,
        expected_ms=UNKNOWN_MS if expected_ms is None else expected_ms,
    )
    holder.decision, holder.deliveries = held.decision, held.deliveries
    holder.sent_ms, holder.renewed_ms = held.sent_ms, held.renewed_ms
    # Who was at a task that is given up owes nothing, in this fold as in one of the logs.
    holder.state = LOST if task.closing and held.state == RUNNING else held.state
    task.holders.append(holder)
    if holder.state == RUNNING:
        fold.attempts.start(holder)
