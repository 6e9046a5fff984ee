"""How full the logs are, against where they refuse. Said by every coordinator, as whoever leads may be the one that is in trouble."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from bus.connection import Bus
from bus.errors import BusError, reason
from bus.streams import DEFAULT_MAX_BYTES, Extent, extent

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["logs"]

_log = structlog.get_logger("metrics.logs")
_ANSWER_S = 1.0


def logs(bus: Bus) -> "Source":
    """The source; a log whose leader does not answer within a second is left out."""

    async def say(board: "Board") -> None:
        names = tuple(DEFAULT_MAX_BYTES)
        for name, found in zip(
            names, await asyncio.gather(*(_ask(bus, name) for name in names)), strict=True
        ):
            if found is not None:
                board.say("ambient_log_bytes", found.bytes, log=name)
                board.say("ambient_log_max_bytes", found.max_bytes, log=name)
                board.say("ambient_log_first_sequence", found.first, log=name)
                board.say("ambient_log_last_sequence", found.last, log=name)

    return say


async def _ask(bus: Bus, name: str) -> Extent | None:
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await extent(bus, name)
    except (TimeoutError, BusError) as error:
        _log.debug("a log's size is unknown", log=name, reason=reason(error))
        return None
