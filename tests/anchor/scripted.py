"""A verifier that does as a test tells it, and anchors beside it: raw bus, real signatures, real logs."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from anchor.receipt.note import read_checkpoint, read_note
from anchor.service import run
from anchor.settings import AnchorSettings
from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.messages import (
    Leader,
    LedgerState,
    Opened,
    Ordered,
    ReceiptReply,
    ReceiptRequest,
    ServiceHealth,
    Signed,
    Unlogged,
    Verdict,
)
from bus.messages.publication import Publication
from bus.reader import Entry, LogReader
from bus.signing import VERDICTS, Identity
from bus.streams import extent, last_sequence
from bus.wire import encode, split_lines
from tests.anchor import receipts

WAIT_S = 60.0
EVERY_S = 0.02
type Line = Leader | Opened | Signed | Unlogged | LedgerState | Ordered | Publication
_LINE: msgspec.json.Decoder[Line] = msgspec.json.Decoder(
    Leader | Opened | Signed | Unlogged | LedgerState | Ordered | Publication
)

PROCESS = """
import asyncio, sys
from pathlib import Path
from anchor.service import run
from anchor.settings import AnchorSettings
url, cluster, data, key, name = sys.argv[1:]
asyncio.run(run(AnchorSettings(url=url, cluster=cluster, data=Path(data), key=Path(key), name=name, every_s=0.02)))
"""


@contextmanager
def process(
    url: str, cluster: str, data: Path, key: Path, name: str = "a1"
) -> Iterator[subprocess.Popen[bytes]]:
    """An anchor as a process of its own."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS, url, cluster, str(data), str(key), name], stdout=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@asynccontextmanager
async def anchoring(url: str, cluster: str, data: Path, **settings: Any) -> AsyncIterator[asyncio.Task[None]]:
    """An anchor inside this process, stopped in order at the end; its failure fails the test."""
    stop = asyncio.Event()
    chosen = AnchorSettings(
        url=url, cluster=cluster, data=data, **({"name": "a1", "every_s": EVERY_S} | settings)
    )
    task = asyncio.create_task(run(chosen, stop=stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def judge(bus: Bus, *tasks: str, by: Identity = receipts.VERIFIER, **fields: Any) -> int:
    """Write verdicts on these tasks as one message; its sequence. Each task stands at a place of its own in TASKS."""
    lines = [encode(receipts.verdict(task, **({"source": (number(task), 0)} | fields))) for task in tasks]
    return (await bus.js.publish(bus.subjects.verdicts, by.seal(VERDICTS, lines))).seq


def number(task: str) -> int:
    """The digits in a task's name."""
    return int("".join(char for char in task if char.isdigit()) or 1)


async def health(bus: Bus) -> ServiceHealth:
    """Wait until an anchor leads; what it says of itself."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await bus.request(
                    bus.subjects.service("anchor", "health"), b"", ServiceHealth, timeout_s=1
                )
            except BusUnavailable:
                await asyncio.sleep(0.02)


async def receipt(bus: Bus, task: str, state: str = "signed") -> ReceiptReply:
    """Wait until the anchor answers with this state."""
    subject = bus.subjects.service("anchor", "receipt")
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                reply = await bus.request(subject, ReceiptRequest(task), ReceiptReply, timeout_s=2)
            except BusUnavailable:
                await asyncio.sleep(0.02)
                continue
            if reply.state == state:
                return reply
            await asyncio.sleep(0.01)


async def anchored(bus: Bus, start: int = 1) -> list[Line]:
    """All lines of ANCHORS, from that sequence on."""
    lines: list[Line] = []

    def take(entry: Entry) -> None:
        lines.extend(_LINE.decode(line) for line in split_lines(entry.body))

    reader = LogReader(bus, "anchors", take, start=start)
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, "anchors")), WAIT_S)
    await reader.stop()
    return lines


async def checkpoints(bus: Bus) -> dict[int, bytes]:
    """The root of each size that was ever signed; two for one size fail the test."""
    roots: dict[int, bytes] = {}
    for line in await anchored(bus):
        if isinstance(line, Signed):
            state = read_checkpoint(read_note(line.note.encode()).text)
            assert roots.setdefault(state.size, state.root) == state.root
            assert state.size == line.size
    return roots


async def leaves(bus: Bus) -> list[bytes]:
    """What the leaves of the log should be: every verdict in VERDICTS, the first for each task."""
    found: dict[str, bytes] = {}

    def take(entry: Entry) -> None:
        envelope, *members = split_lines(entry.body)
        for member in members:
            if b'"kind":"verdict"' in member:
                task = msgspec.json.decode(member, type=Verdict).task
                found.setdefault(task, envelope + b"\n" + member)

    reader = LogReader(bus, "verdicts", take, start=(await extent(bus, "verdicts")).first)
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, "verdicts")), WAIT_S)
    await reader.stop()
    return list(found.values())
