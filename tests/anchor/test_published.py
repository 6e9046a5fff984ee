"""What a part that publishes adds to receipts: they wait for it, and become final with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

import anchor.service
from anchor.part import Part
from anchor.receipt.check import Demands, check
from anchor.receipt.commitment import commitment
from anchor.receipt.note import Note, read_checkpoint
from anchor.receipt.published import Published
from bus.connection import Bus
from tests.anchor import receipts
from tests.anchor.scripted import anchoring, judge, receipt


class Publisher(Part):
    """Publishes each checkpoint that it is told of in a block of its own, as soon as it is let."""

    name = "publisher"
    publishes = True

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.found: list[tuple[Note, Published]] = []

    def fold_anchors(self, sequence: int, line: bytes) -> None:
        """Nothing in ANCHORS is about it."""

    def pack(self) -> bytes:
        """It remembers nothing."""
        return b""

    def unpack(self, packed: bytes) -> Callable[[], None]:
        """It remembers nothing."""
        del packed
        return lambda: None

    def signed(self, note: Note) -> None:
        """Keep it in mind."""
        self.notes.append(note)

    def publish(self) -> None:
        """Put what is in mind into blocks."""
        for note in self.notes:
            state = read_checkpoint(note.text)
            committed = commitment(state.origin, state.size, state.root)
            self.found.append((note, receipts.confirmed(committed)))

    async def published(self, leaf: int) -> tuple[Note, Published] | None:
        """The first checkpoint that covers the leaf."""
        return next((each for each in self.found if read_checkpoint(each[0].text).size > leaf), None)


async def test_a_receipt_becomes_final_with_the_block_that_covers_it(
    bus: Bus, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it says that there will be more; afterwards it is under the published checkpoint, not the newest."""
    publisher = Publisher()
    monkeypatch.setattr(anchor.service, "_parts", lambda *_: (publisher,))
    async with anchoring(bus.url, cluster, tmp_path):
        await judge(bus, "me.t1")
        before = await receipt(bus, "me.t1")
        publisher.publish()
        await judge(bus, "me.t2")
        newer = await receipt(bus, "me.t2")
        final = await receipt(bus, "me.t1", "final")
    report = check(final.receipt or b"", Demands(final=True, network="regtest"))

    assert (before.more, newer.more, final.more) == (True, True, False)
    assert before.said == "it is not published on Bitcoin, yet"
    assert report.checkpoint.size == 1
    assert report.confirmed is not None
    assert check(newer.receipt or b"").confirmed is None
