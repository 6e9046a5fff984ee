"""Every node, each second: what the coordinator tells in columns, kept for those who watch and for a look back.

Guarantees that names and columns that are handed out belong together, that any number of watchers costs the coordinator one question a second, and that
memory is bounded: a look back of `HISTORY_S` is 11 bytes a node and sample, and what `gateway.view.telemetry` keeps of an hour is said there. A coordinator that does not answer leaves the last board standing; `at_ms`
says how old it is.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import get_args

import msgspec
import structlog

from bus.connection import Bus
from bus.errors import BusError, reason
from bus.messages import BoardReply, BoardRequest, NodeState
from gateway.resources.board import NodeBoard, NodeSample
from gateway.view.telemetry import TelemetryHistory

__all__ = ["HISTORY_S", "Board"]

_log = structlog.get_logger("gateway.board")
_encode = msgspec.json.Encoder().encode

_EVERY_S = 1.0
_SAMPLE_S = 2
"""A node's heartbeat comes every 2 s: more samples would say nothing more."""
HISTORY_S = 300
_STATES: tuple[NodeState, ...] = get_args(NodeState)
_ANSWER_S = 2.0
_FRESH_S = 5.0


class Board:
    """The newest board and those before it. `run` asks; everything else only reads."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._now: BoardReply | None = None
        self._names: list[str] = []
        self._rows: dict[str, int] = {}
        self._encoded = b""
        self._heard_at = float("-inf")
        self._history: deque[BoardReply] = deque(maxlen=HISTORY_S // _SAMPLE_S)
        self.telemetry = TelemetryHistory()

    def __repr__(self) -> str:
        """How many nodes, and how far back."""
        return f"Board({len(self._names)} nodes, {len(self._history)} samples)"

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            begun = time.monotonic()
            try:
                await self._ask()
            except BusError as error:
                _log.debug("no board", reason=reason(error))
            await asyncio.sleep(max(0.0, begun + _EVERY_S - time.monotonic()))

    async def _ask(self) -> None:
        board = await self._question(BoardRequest())
        is_other = self._now is None or board.shape != self._now.shape
        names = [] if is_other else list(self._names)
        while len(names) < board.total:
            more = await self._question(BoardRequest(names_from=len(names)))
            if more.shape != board.shape or not more.names:
                return  # the leader changed in between: the next question is about its rows
            board, names = more, [*names, *more.names]
        if is_other:
            self._history.clear()
        self.put(board, names)

    async def _question(self, question: BoardRequest) -> BoardReply:
        subject = self._bus.subjects.service("coordinator", "board")
        return await self._bus.request(subject, question, BoardReply, timeout_s=_ANSWER_S)

    def put(self, board: BoardReply, names: list[str]) -> None:
        """This is how the nodes are; `names` are all of its rows'."""
        if len(names) != len(self._names) or (self._now is not None and board.shape != self._now.shape):
            self._rows = {name: row for row, name in enumerate(names)}
        self.telemetry.fold(board, names)
        self._now = msgspec.structs.replace(board, names=[], temperature=b"", battery=b"", power=b"")
        self._names = names
        self._encoded = _encode(self._told([]))
        self._heard_at = time.monotonic()
        if not self._history or board.at_ms - self._history[-1].at_ms >= (_SAMPLE_S - 0.5) * 1000:
            self._history.append(self._now)

    # For readers

    @property
    def at_ms(self) -> int:
        """When the newest one was made; 0 before the first."""
        return self._now.at_ms if self._now is not None else 0

    @property
    def is_fresh(self) -> bool:
        """Whether it says how the nodes are now, within a few seconds."""
        return self._heard_at > time.monotonic() - _FRESH_S

    @property
    def encoded(self) -> bytes:
        """The newest one without its names, as JSON; made once for all who watch."""
        return self._encoded

    def whole(self) -> NodeBoard:
        """The newest one with its names; an empty one before the first."""
        return self._told(self._names)

    def states(self) -> dict[str, int]:
        """How many nodes are in each state, those with any."""
        counts = Counter(self._now.state if self._now is not None else b"")
        return {_STATES[code]: count for code, count in sorted(counts.items())}

    def samples(self, node: str) -> list[NodeSample]:
        """How the node was, oldest first; nothing for one that is not known."""
        row = self._rows.get(node)
        return [] if row is None else list(self._samples(row))

    def _samples(self, row: int) -> Iterator[NodeSample]:
        for board in self._history:
            if row < board.total:
                yield NodeSample(
                    at_ms=board.at_ms,
                    state=_STATES[board.state[row]],
                    score=_word(board.score, row) / 10_000,
                    open=_word(board.open, row),
                    cpu_free=board.cpu_free[row] / 200,
                    memory_free=board.memory_free[row] / 200,
                    latency_ms=_word(board.latency, row) / 10,
                )

    def _told(self, names: list[str]) -> NodeBoard:
        if self._now is None:
            return NodeBoard()
        columns = {name: getattr(self._now, name) for name in NodeBoard.__struct_fields__ if name != "names"}
        return NodeBoard(**columns, names=names)


def _word(column: bytes, row: int) -> int:
    return int.from_bytes(column[2 * row : 2 * row + 2], "little")
