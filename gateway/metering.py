"""What a gateway says of itself to Prometheus."""

from typing import TYPE_CHECKING

from gateway.edge import Tally
from gateway.view.book import Book

if TYPE_CHECKING:
    from metrics.board import Board, Source

__all__ = ["requests"]


def requests(tally: Tally, book: Book) -> "Source":
    """The source of one gateway: its answers by class of status, its open event streams, and what it remembers."""

    async def say(board: "Board") -> None:
        for status, count in tally.answers.items():
            board.say("ambient_gateway_requests_total", count, status=status)
        board.say("ambient_gateway_refused_tokens_total", tally.refused_tokens)
        board.say("ambient_gateway_event_streams", tally.streams)
        board.say("ambient_gateway_tasks", len(book.records))

    return say
