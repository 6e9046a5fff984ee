"""A verifier's fold as bytes, and back.

Guarantees that a fold which is restored and goes on from its positions judges as one that folded the logs from their beginnings. What was
judged and is not yet durable must not be kept, so a leader packs when all of it is (`verifier.term`).

`VERSION` changes whenever older bytes would be read wrongly: they are then passed over, and the logs are folded.
"""

from collections.abc import Sequence

import msgspec

from bus.messages import Abandoned, Assigned, Late, Result
from folds.errors import CheckpointUnusable
from folds.runs import Run
from verifier.core import Core
from verifier.settled import Owing
from verifier.tasks import OpenTask, Vote

__all__ = ["VERSION", "pack", "restore"]

VERSION = 1


class _Open(msgspec.Struct, array_like=True):
    name: str
    attempts: list[tuple[int, Assigned]]
    votes: dict[str, Vote]
    faults: list[tuple[str, int]]
    samples: list[tuple[bytes, Result]]
    named: list[str]
    asked_after: int
    abandoned: Abandoned | None


class _Owing(msgspec.Struct, array_like=True):
    name: str
    attempts: list[tuple[int, Assigned]]
    pairs: list[tuple[str, int]]


class _State(msgspec.Struct):
    decided: int
    epoch: int
    owners: dict[str, str]
    reputation: list[tuple[str, int, int, int]]
    open: list[_Open]
    warm: list[tuple[str, bytes]]
    owing: list[_Owing]
    late: list[Late]
    numbers: dict[str, int]
    old: bytes
    old_last: int


_ENCODE = msgspec.msgpack.Encoder().encode
_STATE = msgspec.msgpack.Decoder(_State)


def pack(core: Core) -> bytes:
    """All that the logs have told this core, but for what is in runs."""
    settled = core.settled
    old, last = settled.old.pack()
    return _ENCODE(
        _State(
            decided=core.decided,
            epoch=core.epoch,
            owners=core.owners,
            reputation=list(core.reputation),
            open=[_packed(name, task) for name, task in core.open.items()],
            warm=list(settled.warm.items()),
            owing=[
                _Owing(name, list(each.attempts), sorted(each.pairs)) for name, each in settled.owing.items()
            ],
            late=list(settled.late.values()),
            numbers=settled.numbers,
            old=old,
            old_last=last,
        )
    )


def restore(core: Core, packed: bytes, runs: Sequence[Run]) -> None:
    """Let a new core be what was packed. Raises `CheckpointUnusable` before anything is changed."""
    try:
        state = _STATE.decode(packed)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CheckpointUnusable(f"the verifier's state cannot be read: {error}") from None
    settled = core.settled
    core.decided, core.epoch, core.owners = state.decided, state.epoch, state.owners
    core.reputation.restore(state.reputation)
    settled.warm, settled.numbers = dict(state.warm), state.numbers
    settled.late = {(each.task, each.node): each for each in state.late}
    settled.old.unpack(state.old, state.old_last, runs)
    for each in state.owing:
        owing = settled.owing[each.name] = Owing()
        owing.attempts, owing.pairs = tuple(each.attempts), set(each.pairs)
    for kept in state.open:
        core.reopen(kept.name, _unpacked(kept))


def _packed(name: str, task: OpenTask) -> _Open:
    return _Open(
        name,
        list(task.attempts),
        task.votes,
        list(task.faults),
        list(task.samples.items()),
        list(task.named),
        task.asked_after,
        task.abandoned,
    )


def _unpacked(packed: _Open) -> OpenTask:
    task = OpenTask()
    task.attempts, task.votes = tuple(packed.attempts), packed.votes
    task.faults, task.named = tuple(packed.faults), tuple(packed.named)
    task.samples, task.asked_after = dict(packed.samples), packed.asked_after
    task.abandoned = packed.abandoned
    return task
