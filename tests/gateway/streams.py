"""A reader of event streams, as a browser is one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx


class Stream:
    """A reader of one event stream: `log` has the entries that it saw, `others` what else it was told."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.others: list[tuple[str, Any]] = []
        self.id = ""

    def take(self, block: str) -> None:
        """One event."""
        fields = [line.partition(": ")[::2] for line in block.splitlines()]
        said = dict(fields)
        self.id = said.get("id", self.id)
        if "data" in said and said.get("event") == "log":
            self.log.append(json.loads(said["data"]))
        elif "data" in said:
            self.others.append((said["event"], json.loads(said["data"])))

    @property
    def places(self) -> list[tuple[str, int]]:
        """Log and sequence of each entry that came."""
        return [(entry["log"], entry["sequence"]) for entry in self.log]

    def kinds(self) -> set[str]:
        """The kinds of all items that came."""
        return {item["kind"] for entry in self.log for item in entry["items"]}


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, stream: Stream, **query: str
) -> AsyncIterator[asyncio.Task[None]]:
    """Read a stream in the background, from where `stream` is."""

    async def read() -> None:
        headers = {"Last-Event-ID": stream.id} if stream.id else {}
        async with client.stream(
            "GET", "/api/v1/events", params=query, headers=headers, timeout=60
        ) as answer:
            assert answer.status_code == 200, await answer.aread()
            text = ""
            async for piece in answer.aiter_text():
                text += piece
                *blocks, text = text.split("\n\n")
                for block in blocks:
                    stream.take(block)

    reading = asyncio.create_task(read())
    try:
        yield reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def seen(stream: Stream, fact: Callable[[Stream], Any]) -> None:
    """Wait until the stream has brought it."""
    async with asyncio.timeout(60):
        while not fact(stream):
            await asyncio.sleep(0.02)
