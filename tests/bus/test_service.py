"""Questions and answers over the bus: handlers that answer at once, and handlers that have to read first."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bus.connection import Bus
from bus.errors import BusError, BusUnavailable, Malformed
from bus.messages import Pending, VerdictRequest
from bus.service import ServiceDesk


@pytest_asyncio.fixture
async def desk(bus: Bus) -> AsyncIterator[ServiceDesk]:
    """An open desk of the service `test`."""
    opened = await ServiceDesk.open(bus, "test", "1.0.0", "answers tests")
    yield opened
    await opened.close()


async def later(asked: VerdictRequest) -> Pending:
    """An answer that takes a turn of the loop."""
    await asyncio.sleep(0)
    if not asked.tasks:
        raise BusUnavailable("the log is away: ask again")
    return Pending(asked.tasks[0])


@pytest.mark.parametrize("handle", [later, lambda asked: Pending(asked.tasks[0])], ids=["awaitable", "plain"])
async def test_a_handler_may_answer_now_or_later(bus: Bus, desk: ServiceDesk, handle) -> None:
    """An awaitable is awaited; whoever asks sees no difference."""
    await desk.answer("q", VerdictRequest, handle)
    subject = bus.subjects.service("test", "q")

    assert await bus.request(subject, VerdictRequest(["me.t1"]), Pending) == Pending("me.t1")
    with pytest.raises(Malformed, match="tasks"):
        await bus.request(subject, b"{}", Pending)


async def test_an_error_in_an_awaitable_is_an_answer(bus: Bus, desk: ServiceDesk) -> None:
    """What is raised later reaches whoever asked just as what is raised at once."""
    await desk.answer("q", VerdictRequest, later)

    with pytest.raises(BusError, match="the log is away"):
        await bus.request(bus.subjects.service("test", "q"), VerdictRequest([]), Pending)
