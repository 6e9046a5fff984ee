"""Questions and answers: whoever asks hears something, and it names who must change what."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from bus.connection import Bus
from bus.errors import BusUnavailable, Malformed, NoResponder, ServiceFailed
from bus.messages import ErrorReply, Pending, TasksRequest, VerdictRequest, WhyReply, WhyRequest
from bus.service import ServiceDesk
from bus.wire import encode


def why(question: WhyRequest) -> WhyReply:
    return WhyReply(task=question.task, state="waiting", detail="no node yet")


@pytest_asyncio.fixture
async def desk(bus: Bus) -> AsyncIterator[ServiceDesk]:
    """A service called `coordinator` without endpoints."""
    opened = await ServiceDesk.open(bus, "coordinator", "0.1.0", "for a test")
    yield opened
    await opened.close()


async def ask(bus: Bus, question: object, answer: type = WhyReply) -> object:
    return await bus.request(bus.subjects.service("coordinator", "why"), question, answer, timeout_s=5)


async def test_a_good_question_is_answered_with_a_message(bus: Bus, desk: ServiceDesk) -> None:
    """Both ends see typed messages."""
    await desk.answer("why", WhyRequest, why)

    assert await ask(bus, WhyRequest("me.t1")) == why(WhyRequest("me.t1"))


async def test_bare_bytes_go_both_ways(bus: Bus, desk: ServiceDesk) -> None:
    """For signed questions and answers of many lines."""
    await desk.answer("why", bytes, lambda body: body + b"\n" + encode(Pending("me.t2")))
    reply = await bus.request_bytes(bus.subjects.service("coordinator", "why"), encode(Pending("me.t1")))

    assert reply == b'{"kind":"pending","task":"me.t1"}\n{"kind":"pending","task":"me.t2"}'


async def test_an_empty_question_is_the_default_one(bus: Bus, desk: ServiceDesk) -> None:
    """`nats req avcp.home.svc.coordinator.tasks ''` lists tasks."""
    await desk.answer("why", TasksRequest, lambda asked: Pending(str(asked.limit)))

    assert await ask(bus, b"", Pending) == Pending("100")


@pytest.mark.parametrize(
    ("question", "field", "limit"),
    [
        (b"{}", "tasks", "is required"),
        (b'{"tasks":[1]}', "tasks[0]", "got `int`"),
        (encode(VerdictRequest(["me.t"] * 1001)), "tasks", "length <= 1000"),
        (b"nonsense", "", "one JSON object a line"),
        (b"[" * 50_000, "", "got `array`"),
    ],
)
async def test_a_bad_question_is_answered_with_field_and_limit(
    bus: Bus, desk: ServiceDesk, question: bytes, field: str, limit: str
) -> None:
    """At once, and the same for every client: an `ErrorReply` on the wire, `Malformed` in Python."""
    await desk.answer("why", VerdictRequest, lambda _: Pending("never"))
    raw = await bus.request_bytes(bus.subjects.service("coordinator", "why"), question)
    reply = msgspec.json.decode(raw, type=ErrorReply)

    assert (reply.field, limit in reply.limit, reply.internal) == (field, True, False), reply
    with pytest.raises(Malformed) as caught:
        await ask(bus, question)
    assert caught.value.field == field


async def test_a_handler_can_refuse_by_field(bus: Bus, desk: ServiceDesk) -> None:
    """A task that nobody knows is the asker's affair."""

    def refuse(_: WhyRequest) -> WhyReply:
        raise Malformed("task", "nobody submitted it")

    await desk.answer("why", WhyRequest, refuse)

    with pytest.raises(Malformed, match="task: nobody submitted it"):
        await ask(bus, WhyRequest("me.t9"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("secret"), "see its log"),
        (BusUnavailable("the log does not answer"), "the log does"),
    ],
)
async def test_a_handler_that_fails_answers_too(
    bus: Bus, desk: ServiceDesk, error: Exception, told: str
) -> None:
    """Nobody waits for a time-out, nobody is blamed for a good question, and the service goes on."""
    failing = True

    def handle(question: WhyRequest) -> WhyReply:
        if failing:
            raise error
        return why(question)

    await desk.answer("why", WhyRequest, handle)
    with pytest.raises(ServiceFailed, match=told) as caught:
        await ask(bus, WhyRequest("me.t1"))
    failing = False

    assert "secret" not in str(caught.value)
    assert await ask(bus, WhyRequest("me.t1")) == why(WhyRequest("me.t1"))


async def test_an_answer_that_does_not_fit_is_told_and_not_lost(bus: Bus, desk: ServiceDesk) -> None:
    """Over the server's `max_payload` the client library would send no word of it."""
    await desk.answer("why", bytes, lambda _: b"x" * (bus.client.max_payload + 1))

    with pytest.raises(Malformed, match="ask for less"):
        await ask(bus, b"{}")


async def test_a_service_that_does_not_run_is_told_from_one_that_is_slow(bus: Bus, desk: ServiceDesk) -> None:
    """`NoResponder` at once in the one case, `BusUnavailable` after the time-out in the other."""
    with pytest.raises(NoResponder, match="is it running"):
        await ask(bus, b"{}")

    never = asyncio.Event()

    async def hang(_: bytes) -> bytes:
        await never.wait()
        return b""

    await desk.answer("why", bytes, hang)
    with pytest.raises(BusUnavailable, match=r"within 0.1 s \(.*time.*\)") as caught:
        await bus.request(bus.subjects.service("coordinator", "why"), b"{}", WhyReply, timeout_s=0.1)
    never.set()
    assert not isinstance(caught.value, NoResponder)


async def test_a_closed_desk_answers_no_more(bus: Bus) -> None:
    """A service that steps down leaves the questions to its successor."""
    desk = await ServiceDesk.open(bus, "coordinator", "0.1.0", "for a test")
    await desk.answer("why", WhyRequest, why)
    await desk.close()

    with pytest.raises(NoResponder):
        await ask(bus, WhyRequest("me.t1"))
