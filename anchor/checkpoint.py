"""The log's fold as bytes, and back: what a restart begins from, so that VERDICTS may be cut below it.

Guarantees that a core that is restored and goes on from its positions has the same tree as one that folded the logs from their beginnings.
`VERSION` changes whenever older bytes would be read wrongly: they are then passed over, and the logs are folded.
"""

from collections.abc import Sequence

import msgspec

from anchor.core import Core
from anchor.part import Part
from anchor.tree.edge import Edge
from anchor.window import Window
from bus.messages import Opened, Signed, Unlogged
from folds.errors import CheckpointUnusable
from folds.runs import Run

__all__ = ["VERSION", "pack", "restore"]

VERSION = 1


class _State(msgspec.Struct):
    origin: str
    position: int
    anchored: int
    epoch: int
    opened: Opened | None
    signed: Signed | None
    unlogged: list[Unlogged]
    edge: list[bytes]
    index: bytes
    index_last: int
    parts: dict[str, bytes] = {}
    window: list[tuple[int, int]] = []
    retired: int = 0


_ENCODE = msgspec.msgpack.Encoder().encode
_STATE = msgspec.msgpack.Decoder(_State)


def pack(core: Core, parts: Sequence[Part] = ()) -> bytes:
    """All that the logs have told this core and its parts, but for what is in runs."""
    index, last = core.index.pack()
    return _ENCODE(
        _State(
            origin=core.origin,
            position=core.position,
            anchored=core.anchored,
            epoch=core.epoch,
            opened=core.opened,
            signed=core.signed,
            unlogged=list(core.unlogged.values()),
            edge=core.edge.pack(),
            index=index,
            index_last=last,
            parts={part.name: part.pack() for part in parts},
            window=list(core.window.marks),
            retired=core.retired,
        )
    )


def restore(core: Core, packed: bytes, runs: Sequence[Run], parts: Sequence[Part] = ()) -> None:
    """Let a new core and its parts be what was packed. Raises `CheckpointUnusable` before anything is changed."""
    try:
        state = _STATE.decode(packed)
        edge = Edge(state.edge)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointUnusable(f"the anchor's state cannot be read: {error}") from None
    if state.origin != core.origin:
        raise CheckpointUnusable(f"it is of the log {state.origin}, not of {core.origin}: see --origin")
    unknown = [part.name for part in parts if part.name not in state.parts]
    if unknown:
        raise CheckpointUnusable(f"it was made by an anchor without the {', '.join(unknown)}")
    for take in [part.unpack(state.parts[part.name]) for part in parts]:
        take()
    core.edge, core.position, core.anchored, core.epoch = edge, state.position, state.anchored, state.epoch
    core.opened, core.signed = state.opened, state.signed
    core.unlogged = {each.place: each for each in state.unlogged}
    core.window, core.retired = Window(state.window), state.retired
    core.index.unpack(state.index, state.index_last, runs)
