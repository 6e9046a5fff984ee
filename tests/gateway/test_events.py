"""Event streams: nothing is missed, whoever is killed meanwhile, and nobody's reading costs the gateway."""

import signal

import httpx
import pytest

from ambient.cluster import Supervisor
from bus.connection import Bus
from bus.streams import extent
from gateway.view import ring
from tests.gateway.conftest import ended, submitted, until
from tests.gateway.streams import Stream, listening, seen

pytestmark = pytest.mark.asyncio(loop_scope="session")
"""In the loop of the cluster, which starts again what dies."""


async def test_a_stream_goes_on_elsewhere_after_a_kill(
    api: httpx.AsyncClient, other: httpx.AsyncClient, shared: Supervisor
) -> None:
    """A gateway dies by kill -9 in the middle of a stream. With the last id, the other one goes on: every entry of every log once, in order."""
    stream = Stream()
    stream.id = ring.position_text(
        {}
    )  # from now on would be too late if the task ends before the stream is open
    first = await submitted(api)
    async with listening(api, stream):
        await ended(api, first)
        await seen(stream, lambda s: "accepted" in s.kinds())
        shared.kill("gateway-1", signal.SIGKILL)
        between = [await submitted(other) for _ in range(3)]
    for name in between:
        await ended(other, name)
    async with listening(other, stream):
        await seen(
            stream,
            lambda s: (
                {item["task"] for e in s.log for item in e["items"] if item["kind"] == "accepted"}
                >= {first, *between}
            ),
        )
        last = stream.id
    await until(lambda: answering(api))
    async with await Bus.connect(shared.nats, cluster="gw") as bus:
        for log in ring.ALL_LOGS:
            places = [sequence for name, sequence in stream.places if name == log]
            held = await extent(bus, log)

            assert places == list(range(places[0], places[-1] + 1)) if places else True
            assert len(places) == len(set(places))
            assert (ring.position_of(last) or {})[log] <= held.last


async def answering(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/api/v1/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_from_the_beginning_nothing_is_missing(api: httpx.AsyncClient, shared: Supervisor) -> None:
    """A stream from position 0 brings every entry that the logs hold, and figures of the moment beside."""
    name = await submitted(api)
    await ended(api, name)
    async with await Bus.connect(shared.nats, cluster="gw") as bus:
        ends = {log: (await extent(bus, log)).last for log in ring.ALL_LOGS}
    stream = Stream()
    stream.id = ring.position_text({})
    async with listening(api, stream):
        await seen(stream, lambda s: set(s.places) >= {(log, end) for log, end in ends.items() if end})
        await seen(stream, lambda s: s.others)

    for log, end in ends.items():
        assert [sequence for named, sequence in stream.places if named == log][:end] == list(
            range(1, end + 1)
        )
    assert stream.others[0][0] == "stats"
    assert stream.others[0][1]["cluster"] == "gw"


async def test_filters_let_through_what_was_asked_for(api: httpx.AsyncClient) -> None:
    """Kinds and one task: nothing else comes, and the position moves on all the same."""
    stream = Stream()
    name = await submitted(api, id="watched")
    stream.id = ring.position_text({})
    async with listening(api, stream, kinds="asked,accepted", task=name):
        await ended(api, name)
        await ended(api, await submitted(api))
        await seen(stream, lambda s: s.kinds() == {"asked", "accepted"})
        before = stream.id
        await ended(api, await submitted(api))
        await seen(stream, lambda s: s.id != before)

    assert {item["task"] for entry in stream.log for item in entry["items"]} == {name}
    assert stream.others == []


async def test_a_node_that_changes_is_told(api: httpx.AsyncClient) -> None:
    """Drained and given work again, its states come as events."""
    stream = Stream()
    async with listening(api, stream, kinds="node,stats"):
        await seen(stream, lambda s: s.others)
        await api.post("/api/v1/nodes/node-2/drain")
        await seen(stream, lambda s: "draining" in states(s))
        await api.post("/api/v1/nodes/node-2/undrain")
        await seen(stream, lambda s: s.others and states(s)[-1:] != ["draining"])

    assert states(stream)[-1] in ("healthy", "safe")  # safe: for a machine that has too much to do
    assert stream.log == []


def states(stream: Stream) -> list[str]:
    """What was told of node-2, in its order."""
    return [said["state"] for event, said in stream.others if event == "node" and said["node"] == "node-2"]


@pytest.mark.parametrize(
    "bad", ["t1", "t1-a2-r3-v4-n-5", "t1-a2-r3-v4-x5", "t1-t1-r3-v4-n5", "t9999999999999999999-a0-r0-v0-n0"]
)
async def test_an_id_that_is_none_is_refused(api: httpx.AsyncClient, bad: str) -> None:
    """The answer names the header and what it must be."""
    answer = await api.get("/api/v1/events", headers={"Last-Event-ID": bad})

    assert (answer.status_code, answer.json()["field"]) == (400, "Last-Event-ID")
