"""One event stream: what is sent next, from which position. The rings serve who keeps up, the logs who does not.

Guarantees that each entry behind the position is sent once and in the order of its log, and that what one stream holds at a time is one window of a log.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
import structlog

from bus.errors import BusError, Trimmed, reason
from bus.reader import Entry, LogReader
from bus.streams import extent
from gateway.asking import Fresh
from gateway.errors import Unavailable
from gateway.parts import Parts
from gateway.resources.cluster import Stats
from gateway.resources.events import NodeEvent
from gateway.view.core import items_of
from gateway.view.ring import ALL_LOGS, Filter, Kept, Ring, position_text

__all__ = ["PULSE_HISTORY_S", "NodeWatch", "Pulse", "Source"]

_log = structlog.get_logger("gateway.events")
_encode = msgspec.json.Encoder().encode

_TICK_S = 1.0
PULSE_HISTORY_S = 5
"""Single seconds that figures bring along: a reader that misses a tick or two has no hole in its charts."""
_GATHER_S = 0.03
"""After news, a stream waits for more: a thousand entries a second are no thousand wake-ups."""
_QUIET_S = 15.0
_PIECE_BYTES = 64 * 1024
_WINDOW = 512
_CHANGES = 20_000


class NodeWatch:
    """What changed of the nodes between two looks of the coordinator's list; shared by all streams, made while there are any."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._seen: object = None
        self._states: dict[str, str] = {}
        self._changes: deque[tuple[int, bytes]] = deque(maxlen=_CHANGES)
        self.number = 0

    async def look(self) -> None:
        """Compare once; harmless to repeat."""
        try:
            nodes = await self._parts.asking.all_nodes()
        except Unavailable as error:
            _log.debug("nodes unknown", reason=str(error))
            return
        if nodes is self._seen:
            return
        is_first, self._seen = self._seen is None, nodes
        at_ms = time.time_ns() // 1_000_000
        for node in nodes:
            before = self._states.get(node.node, "")
            if node.state != before:
                self._states[node.node] = node.state
                if not is_first:
                    event = NodeEvent(
                        node=node.node,
                        state=node.state,
                        before=before,
                        score=node.score,
                        open=node.open,
                        at_ms=at_ms,
                    )
                    self.number += 1
                    self._changes.append((self.number, _encode(event)))

    def behind(self, number: int) -> list[bytes]:
        """The changes behind this number."""
        return [data for at, data in self._changes if at > number]


class Pulse:
    """What all streams tell each second, made once: figures and changes of nodes."""

    def __init__(self, parts: "Parts", stats: Fresh[Stats]) -> None:
        self.nodes = NodeWatch(parts)
        self._stats = stats
        self._said: Stats | None = None
        self._encoded = b""

    async def stats(self) -> bytes:
        """The figures, encoded."""
        said = await self._stats.get()
        if said is not self._said:
            self._said, self._encoded = said, _encode(said)
        return self._encoded


class Source:
    """The pieces of one stream. `wanted` are the kinds asked for, none: all."""

    def __init__(
        self,
        parts: Parts,
        pulse: Pulse,
        position: dict[str, int],
        chosen: Filter | None,
        wanted: set[str],
        *,
        board: bool = False,
    ) -> None:
        self._parts = parts
        self._pulse = pulse
        self._position = dict(position)
        self._chosen = chosen
        self._stats = not wanted or "stats" in wanted
        self._nodes = not wanted or "node" in wanted
        self._number = pulse.nodes.number
        self._board = board
        self._board_ms = 0

    def __repr__(self) -> str:
        """Where the stream is."""
        return f"Source({position_text(self._position)})"

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """For ever, until the gateway stops."""
        parts = self._parts
        parts.tally.streams += 1
        try:
            yield b"retry: 1000\nid: %s\n\n" % position_text(self._position).encode()
            ticked = said = float("-inf")
            while not parts.stopping.is_set():
                moved = parts.following.moved
                async for piece in self._entries():
                    said = time.monotonic()
                    yield piece
                now = time.monotonic()
                if now - ticked >= _TICK_S:
                    ticked = now
                    for piece in await self._of_the_moment():
                        said = now
                        yield piece
                if now - said > _QUIET_S:
                    said = now
                    yield b": still here\n\n"
                await _news(moved, max(0.0, ticked + _TICK_S - time.monotonic()))
        finally:
            parts.tally.streams -= 1

    async def _of_the_moment(self) -> list[bytes]:
        found = []
        if self._stats:
            found.append(b"event: stats\ndata: %s\n\n" % await self._pulse.stats())
        if self._nodes:
            watch = self._pulse.nodes
            await watch.look()
            found += [b"event: node\ndata: %s\n\n" % data for data in watch.behind(self._number)]
            self._number = watch.number
        board = self._parts.board
        if self._board and board.at_ms != self._board_ms:
            self._board_ms = board.at_ms
            found.append(b"event: board\ndata: %s\n\n" % board.encoded)
        return found

    async def _entries(self) -> AsyncIterator[bytes]:
        for log in ALL_LOGS:
            ring = self._parts.view.rings[log]
            if self._position[log] + 1 < ring.begins:
                async for piece in self._from_log(log, ring):
                    yield piece
            async for piece in self._from_ring(log, ring):
                yield piece

    async def _from_ring(self, log: str, ring: Ring) -> AsyncIterator[bytes]:
        """What is behind the position, a piece at a time; between two pieces the ring may have moved on."""
        while self._position[log] < ring.last and self._position[log] + 1 >= ring.begins:
            piece = bytearray()
            for kept in ring.behind(self._position[log]):
                piece += self._event(kept)
                if len(piece) >= _PIECE_BYTES:
                    break
            if not piece:  # all of it was filtered out: only the position moves
                piece += b"id: %s\n\n" % position_text(self._position).encode()
            yield bytes(piece)

    def _event(self, kept: Kept) -> bytes:
        self._position[kept.log] = kept.sequence
        data = kept.data(self._chosen)
        if not data:
            return b""
        return b"event: log\nid: %s\ndata: %s\n\n" % (position_text(self._position).encode(), data)

    async def _from_log(self, log: str, ring: Ring) -> AsyncIterator[bytes]:
        """What the ring no longer keeps, read again, a window at a time."""
        try:
            held = await extent(self._parts.bus, log)
        except BusError as error:
            _log.debug("a stream waits for a log", log=log, reason=reason(error))
            return
        begins = ring.begins
        if self._position[log] + 1 < held.first:
            gap = b'{"log":"%s","from":%d,"to":%d}' % (
                log.encode(),
                self._position[log] + 1,
                held.first - 1,
            )
            self._position[log] = held.first - 1
            yield b"event: gap\nid: %s\ndata: %s\n\n" % (position_text(self._position).encode(), gap)
        if self._position[log] + 1 >= begins:
            return
        window = _Window(self._parts, log, self._position[log] + 1)
        try:
            while self._position[log] + 1 < begins and not self._parts.stopping.is_set():
                piece = b"".join(
                    self._event(Kept(log, entry.sequence, entry.at_ms, items_of(log, entry)))
                    for entry in await window.take()
                    if entry.sequence < begins
                )
                if window.is_behind(begins):
                    self._position[log] = max(self._position[log], begins - 1)
                yield piece or b"id: %s\n\n" % position_text(self._position).encode()
        except Trimmed as error:
            _log.info("a log was cut before a stream", log=log, reason=str(error))
        finally:
            await window.close()


class _Window:
    """A reader of one log that is paused while what it read is not taken."""

    def __init__(self, parts: Parts, log: str, start: int) -> None:
        self._entries: deque[Entry] = deque()
        self._there = asyncio.Event()
        self._reader = LogReader(parts.bus, log, self._put, start=start)
        self._reader.start()
        self._ended = asyncio.create_task(self._reader.ended(), name=f"window of {log}")

    def _put(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._there.set()
        if len(self._entries) >= _WINDOW:
            self._reader.pause()

    async def take(self) -> list[Entry]:
        """The next entries, at least one. Raises `Trimmed`."""
        there = asyncio.create_task(self._there.wait())
        await asyncio.wait((there, self._ended), return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        if not self._entries and self._ended.done():
            self._ended.result()
        taken = list(self._entries)
        self._entries.clear()
        self._there.clear()
        self._reader.resume()
        return taken

    def is_behind(self, begins: int) -> bool:
        """Whether all before that sequence was read."""
        return self._reader.position >= begins - 1

    async def close(self) -> None:
        """Read no more."""
        await self._reader.stop()
        self._ended.cancel()
        await asyncio.gather(self._ended, return_exceptions=True)


async def _news(moved: asyncio.Event, most_s: float) -> None:
    try:
        async with asyncio.timeout(most_s):
            await moved.wait()
    except TimeoutError:
        return
    await asyncio.sleep(_GATHER_S)
