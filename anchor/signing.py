"""What the anchor that leads writes: checkpoints of what is on disk, and whatever its parts have to say; and what becomes visible by it.

Guarantees that a checkpoint is of leaves that are on disk, a later one than the last, and shown to nobody before it is durable in ANCHORS and
has the cosignatures that it needs.
"""

import asyncio
from collections.abc import Sequence

import structlog

from anchor.core import AnchorLine, Core
from anchor.desk import Desk
from anchor.errors import FolderUnusable
from anchor.folder import Folder
from anchor.notes import sign
from anchor.part import Part
from anchor.receipt.note import write_note
from anchor.storing import Stored
from bus.connection import Bus
from bus.fence import Leadership
from bus.messages import Signed, Unlogged
from bus.signing import Identity
from bus.wire import encode
from bus.writer import FencedWriter

__all__ = ["Signing"]

_log = structlog.get_logger("anchor")

_WITNESSES_S = 10.0
"""How long a state waits for its witnesses before a newer one is signed, for which they are asked instead."""


class Signing:
    """For one leadership, which begins behind the sequence `last` of ANCHORS. `written` is how far that goes since."""

    def __init__(
        self,
        bus: Bus,
        identity: Identity,
        leadership: Leadership,
        *,
        last: int,
        core: Core,
        answers: Desk,
        folder: Folder,
        parts: Sequence[Part],
    ) -> None:
        self.written = last
        self._identity = identity
        self._core = core
        self._answers = answers
        self._folder = folder
        self._parts = parts
        self._signed_at_s = float("-inf")
        self.writer: FencedWriter[AnchorLine | bytes] = FencedWriter(
            bus,
            bus.subjects.stream("anchors"),
            bus.subjects.anchors,
            last=last,
            on_durable=self._on_durable,
            leadership=leadership,
        )

    def __repr__(self) -> str:
        """How far it wrote."""
        return f"Signing(written={self.written})"

    def append(self, line: AnchorLine | bytes) -> None:
        """Write this line behind those that were given before."""
        self.writer.append(line if isinstance(line, bytes) else encode(line), line)

    def refuse(self, lines: Sequence[Unlogged]) -> None:
        """Say what is no leaf, before any state that leaves it out."""
        for line in lines:
            self.append(line)

    def sign(self, stored: Stored | None) -> None:
        """Sign the state that is on disk, if it is a new one and the last one is no longer waited for."""
        if stored is None or not self.writer.is_idle:
            return
        before = self._core.signed.size if self._core.signed is not None else 0
        now_s = asyncio.get_running_loop().time()
        waits = self._answers.waits and now_s < self._signed_at_s + _WITNESSES_S
        if stored.state.size <= before or waits:
            return
        self._signed_at_s = now_s
        note = write_note(sign(self._identity, stored.state)).decode()
        self.append(Signed(size=stored.state.size, verdicts=stored.verdicts, note=note))

    async def rewrite(self, signed: Signed) -> None:
        """Write a checkpoint again under more signatures; returns once that is durable."""
        self.append(signed)
        await self.writer.flushed()

    def _on_durable(self, sequence: int, lines: list[AnchorLine | bytes]) -> None:
        self.written = sequence
        self._core.wrote(sequence, [line for line in lines if not isinstance(line, bytes)])
        for line in lines:
            raw = line if isinstance(line, bytes) else encode(line)
            for part in self._parts:
                part.fold_anchors(sequence, raw)
        if any(isinstance(line, Signed) for line in lines):
            self.show()

    def show(self) -> None:
        """The newest checkpoint is durable: let it be seen, if it has the cosignatures that it needs."""
        note = self._answers.showing()
        if note is None:
            return
        for part in self._parts:
            part.signed(note)
        try:
            self._folder.tiles.publish(write_note(note))
        except FolderUnusable as error:
            _log.warning("the checkpoint is not in the folder", reason=str(error))
