"""Whatever bytes a stranger publishes, the connection goes on reading, and so does every reader of a log that keeps them."""

import asyncio

import pytest

from bus.connection import Bus, Received
from bus.reader import Entry, LogReader
from bus.streams import last_sequence
from tests.bus.stranger import publish_raw

_CASES = {
    "a subject that is no UTF-8": (b"\xff\xfe", None),
    "a subject with a vertical tab": (b"a\x0bb", None),
    "a subject with a form feed": (b"a\x0cb", None),
    "a subject with a NUL": (b"a\x00b", None),
    "headers without an end": (b"a", b"NATS/1.0"),
    "headers of one byte": (b"a", b"N"),
    "a status that is no UTF-8": (b"a", b"NATS/1.0 \xff\xff\xff\r\n\r\n"),
    "a description that is no UTF-8": (b"a", b"NATS/1.0 100 \xff\xff\r\n\r\n"),
    "header names and values that are no UTF-8": (b"a", b"NATS/1.0\r\n\xff: \xff\r\n\xff\r\n\r\n"),
}


@pytest.mark.parametrize("case", _CASES)
async def test_a_strange_message_is_heard_and_what_follows_it_too(bus: Bus, case: str) -> None:
    """It arrives as a message, and the next one after it."""
    token, headers = _CASES[case]
    heard: list[bytes] = []
    both = asyncio.Event()

    async def hear(message: Received) -> None:
        heard.append(message.data)
        if len(heard) == 2:
            both.set()

    await bus.subscribe(bus.subjects.telemetry("*"), hear)
    await bus.round_trip_ms()
    await publish_raw(bus.url, bus.subjects.telemetry("").encode() + token, b"strange", headers)
    await publish_raw(bus.url, bus.subjects.telemetry("b").encode(), b"usual")
    await asyncio.wait_for(both.wait(), 60)

    assert heard == [b"strange", b"usual"]


@pytest.mark.parametrize("case", _CASES)
async def test_a_strange_message_in_a_log_poisons_no_reader(bus: Bus, case: str) -> None:
    """A reader delivers it and what was stored after it."""
    token, headers = _CASES[case]
    await publish_raw(bus.url, bus.subjects.submit("").encode() + token, b"strange", headers)
    await publish_raw(bus.url, bus.subjects.submit("b").encode(), b"usual")
    entries: list[Entry] = []
    reader = LogReader(bus, "tasks", entries.append)
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, "tasks")), 60)
    await reader.stop()

    assert [entry.body for entry in entries] == [b"strange", b"usual"]
