"""What an anchor answers while it leads: receipts, the checkpoint with its consistency proof, and witnesses that cosign it.

Guarantees that no checkpoint is handed out as shown that has fewer cosignatures than the operator asks for, and that a cosignature counts only if
it is one of a configured witness over the newest checkpoint.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from anchor.archive import Archive
from anchor.core import Core
from anchor.errors import LogDamaged
from anchor.folder import Folder, NotHere
from anchor.part import Part
from anchor.receipt.container import Receipt, write_receipt
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Checkpoint, Key, Note, check_note, read_checkpoint, read_note, write_note
from anchor.receipt.published import Published
from anchor.receipt.verdict import read_verdict
from anchor.receipts import make_receipt
from bus.errors import Malformed, ServiceFailed
from bus.messages import (
    CheckpointReply,
    CheckpointRequest,
    CosignReply,
    CosignRequest,
    ReceiptReply,
    ReceiptRequest,
    Signed,
)
from bus.service import ServiceDesk

__all__ = ["Desk"]


class Desk:
    """For one term. `rewrite` makes a checkpoint with more signatures durable, `mend` puts a leaf's damaged message back; `disk` guards the folder."""

    def __init__(
        self,
        *,
        key: Key,
        witnesses: Sequence[Key],
        quorum: int,
        core: Core,
        folder: Folder,
        archive: Archive,
        disk: asyncio.Lock,
        parts: Sequence[Part],
        rewrite: Callable[[Signed], Awaitable[None]],
        mend: Callable[[int], Awaitable[bool]],
    ) -> None:
        self._key = key
        self._witnesses = witnesses
        self._quorum = quorum
        self._core = core
        self._folder = folder
        self._archive = archive
        self._disk = disk
        self._parts = parts
        self._rewrite = rewrite
        self._mend = mend
        self._cosigning = asyncio.Lock()
        self._shown: Note | None = None
        self.renewed = asyncio.Event()
        """Set when there is a newer checkpoint, or more cosignatures of it; then there is another event for the next time."""

    def __repr__(self) -> str:
        """What is shown."""
        shown = read_checkpoint(self._shown.text).size if self._shown is not None else 0
        return f"Desk(shown={shown}, quorum={self._quorum})"

    async def open(self, desk: ServiceDesk) -> None:
        """Answer from now on."""
        await desk.answer("receipt", ReceiptRequest, self.receipt)
        await desk.answer("checkpoint", CheckpointRequest, self.checkpoint)
        await desk.answer("cosign", CosignRequest, self.cosign)

    @property
    def _publishes(self) -> bool:
        return any(part.publishes for part in self._parts)

    @property
    def waits(self) -> bool:
        """Whether the newest checkpoint still lacks cosignatures."""
        signed = self._core.signed
        return self._quorum > 0 and signed is not None and self._cosigned(signed) < self._quorum

    def state_of(self, signed: Signed) -> Checkpoint:
        """What a checkpoint says. Raises `LogDamaged` where it is none."""
        try:
            return read_checkpoint(read_note(signed.note.encode()).text)
        except ReceiptError as error:
            raise LogDamaged(
                f"the checkpoint in ANCHORS cannot be read ({error}): restore it from a backup"
            ) from None

    def lacks(self, key: Key) -> bool:
        """Whether there is a checkpoint that a witness could cosign, and has not."""
        signed = self._core.signed
        return signed is not None and key not in check_note(read_note(signed.note.encode()), [key])

    def showing(self) -> Note | None:
        """The newest checkpoint, if it may be shown; it is from now on."""
        renewed, self.renewed = self.renewed, asyncio.Event()
        renewed.set()
        signed = self._core.signed
        if signed is None or self.waits:
            return None
        self._shown = read_note(signed.note.encode())
        return self._shown

    def _cosigned(self, signed: Signed) -> int:
        return len(check_note(read_note(signed.note.encode()), list(self._witnesses)))

    def _keys(self, note: Note) -> list[Key]:
        """The keys that signed a note: the log's own first."""
        return [self._key, *check_note(note, list(self._witnesses))]

    async def receipt(self, asked: ReceiptRequest) -> ReceiptReply:
        """What there is for a task. Raises `ServiceFailed` where the folder has not what it takes."""
        leaf = self._core.leaf_of(asked.task)
        if leaf is None:
            leaf = await asyncio.to_thread(self._archive.leaf_of, asked.task)
        if leaf is None and self._archive.holes:
            raise ServiceFailed(
                f"the tasks of the leaves {self._archive.holes[0]} are not known here, as this anchor's folder was lost: ask another anchor"
            )
        if leaf is None:
            return ReceiptReply(
                state="unknown",
                more=True,
                said="no verdict of this task is in the log: it has none yet, or was never submitted",
            )
        found = None
        for part in self._parts:
            found = found or await part.published(leaf)
        note: Note | None
        published: Published | None
        note, published = found if found is not None else (self._shown, None)
        if note is None or read_checkpoint(note.text).size <= leaf:
            missing = f", and {self._quorum} witnesses have to cosign it" if self._quorum else ""
            return ReceiptReply(
                state="logged",
                more=True,
                said=f"it is entry {leaf} of the log; the next checkpoint will cover it{missing}",
            )
        try:
            receipt = await self._make(leaf, note, published)
        except LogDamaged as error:
            raise ServiceFailed(str(error)) from None
        return ReceiptReply(
            state="final" if published is not None else "signed",
            said=""
            if published is not None
            else "it is not published on Bitcoin" + (", yet" if self._publishes else ""),
            more=published is None and self._publishes,
            receipt=write_receipt(receipt),
            evidence=_places(read_verdict(receipt.verdict.member).fields.get("evidence", [])),
        )

    async def _make(self, leaf: int, note: Note, published: Published | None) -> Receipt:
        """The receipt; a damaged message is put back first, where that can be done. Raises `LogDamaged`."""
        keys = self._keys(note)
        async with self._disk:
            try:
                return await asyncio.to_thread(make_receipt, self._folder, leaf, note, keys, published)
            except NotHere:
                if not await self._mend(leaf):
                    raise
            return await asyncio.to_thread(make_receipt, self._folder, leaf, note, keys, published)

    async def checkpoint(self, asked: CheckpointRequest) -> CheckpointReply:
        """The newest durable checkpoint, cosigned or not: witnesses cosign it. Raises `Malformed` for a size that it does not have."""
        signed = self._core.signed
        if signed is None:
            raise Malformed("old", "nothing is signed yet: ask again once there is a verdict")
        state = self.state_of(signed)
        if asked.old > state.size:
            raise Malformed(
                "old", f"at most {state.size}, the size of the newest checkpoint, not {asked.old}"
            )
        try:
            async with self._disk:
                proof = await asyncio.to_thread(self._folder.consistency, asked.old, state)
        except LogDamaged as error:
            raise ServiceFailed(str(error)) from None
        return CheckpointReply(note=signed.note, proof=tuple(each.hex() for each in proof))

    async def cosign(self, asked: CosignRequest) -> CosignReply:
        """Take cosignatures in; returns once they are durable. Raises `Malformed` where one is not of a witness, or does not hold."""
        async with self._cosigning:
            signed = self._core.signed
            if signed is None:
                raise Malformed("lines", "nothing is signed yet that could be cosigned")
            note = read_note(signed.note.encode())
            try:
                offered = read_note((note.text + "\n" + asked.lines).encode(), "lines")
                known = check_note(offered, list(self._witnesses))
            except ReceiptError as error:
                raise Malformed(
                    "lines", f"{error}: cosign the newest checkpoint, of size {signed.size}"
                ) from None
            if len(known) != len(offered.signatures):
                raise Malformed("lines", "every line must be that of another one of the anchor's witnesses")
            before = set(check_note(note, list(self._witnesses)))
            ids = {(key.name, key.id) for key in known if key not in before}
            added = tuple(each for each in offered.signatures if (each.name, each.key_id) in ids)
            if added:
                more = Note(note.text, (*note.signatures, *added))
                await self._rewrite(msgspec.structs.replace(signed, note=write_note(more).decode()))
            return CosignReply(size=signed.size, cosigned=len(before) + len(added), needed=self._quorum)


def _places(evidence: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(sequence), int(line)) for sequence, line in evidence)
