"""The connection: it says what is wrong where it cannot be made, and comes back where it was lost."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from bus.connection import Bus, Received, cluster_from_environment, url_from_environment
from bus.errors import BusUnavailable, Malformed
from bus.server import NatsServer, free_port
from bus.subjects import DEFAULT_URL
from tests.system.proxy import Proxy


class Locked(NatsServer):
    """A server that wants a token."""

    def configuration(self) -> dict[str, object]:
        """The usual settings, and the token."""
        return {**super().configuration(), "authorization": {"token": "sesame"}}


async def test_without_a_server_the_error_comes_in_time_and_says_what_to_do() -> None:
    """Within the time-out, with the address, the reason and the way out."""
    url = f"nats://127.0.0.1:{free_port()}"
    begun = asyncio.get_running_loop().time()
    with pytest.raises(BusUnavailable, match=f"{url}.*ambient up.*NATS_URL.*[Cc]onnect"):
        await Bus.connect(url, timeout_s=0.5)

    assert asyncio.get_running_loop().time() - begun < 3


async def test_a_service_waits_for_its_server(tmp_path: Path) -> None:
    """Without a time-out it does not matter who starts first."""
    server = NatsServer(tmp_path)
    connecting = asyncio.create_task(Bus.connect(server.url, timeout_s=None))
    await asyncio.wait([connecting], timeout=0.3)
    assert not connecting.done()
    async with server, await asyncio.wait_for(connecting, 10) as bus:
        assert bus.is_connected


@pytest.mark.parametrize("url", ["nats://", "http://127.0.0.1", "nats://127.0.0.1:port", "", "::::"])
async def test_an_address_that_is_none_is_an_error_of_ours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in NATS_URL, nothing but `BusUnavailable` comes out."""
    monkeypatch.setenv("NATS_URL", f"nats://127.0.0.1:{free_port()}")
    with pytest.raises(BusUnavailable, match="NATS_URL"):
        await Bus.connect(url, timeout_s=0.3)


async def test_a_server_that_lets_nobody_in_is_told_from_none(tmp_path: Path) -> None:
    """The reason is in the message; with the token it works."""
    async with Locked(tmp_path) as server:
        with pytest.raises(BusUnavailable, match=r"(?i)authorization"):
            await Bus.connect(server.url, timeout_s=1)
        async with await Bus.connect(server.url.replace("//", "//sesame@")) as bus:
            assert bus.is_connected


async def test_a_cluster_name_that_is_none_is_refused_before_connecting() -> None:
    """Without any server."""
    with pytest.raises(Malformed, match="cluster"):
        await Bus.connect("nats://127.0.0.1:1", cluster="a.b")


def test_the_environment_says_where_and_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """`NATS_URL` and `AMBIENT_CLUSTER`, or the local server and `home`."""
    monkeypatch.delenv("NATS_URL", raising=False)
    monkeypatch.delenv("AMBIENT_CLUSTER", raising=False)
    assert (url_from_environment(), cluster_from_environment()) == (DEFAULT_URL, "home")
    monkeypatch.setenv("NATS_URL", "nats://far:1")
    monkeypatch.setenv("AMBIENT_CLUSTER", "lab")
    assert (url_from_environment(), cluster_from_environment()) == ("nats://far:1", "lab")


async def test_a_lost_connection_comes_back_and_says_so(tmp_path: Path) -> None:
    """Who registered hears it, who took it back does not; subscriptions live on."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        back, heard, forgotten = asyncio.Event(), asyncio.Queue[bytes](), []
        bus.on_reconnect(back.set)
        call = lambda: forgotten.append(1)  # noqa: E731 -- the very object is taken back
        bus.on_reconnect(call)
        bus.forget_reconnect(call)
        bus.forget_reconnect(call)

        async def hear(message: object) -> None:
            heard.put_nowait(message.data)  # type: ignore[attr-defined]

        await bus.subscribe("greeting", hear)
        await server.restart()
        await asyncio.wait_for(back.wait(), 60)
        await bus.publish("greeting", b"hello")

        assert await asyncio.wait_for(heard.get(), 5) == b"hello"
        assert forgotten == []
        assert await bus.round_trip_ms() > 0


async def test_a_ping_whose_connection_is_lost_ends_in_our_error(server: NatsServer) -> None:
    """Its answer will never come, and whoever waits for it hears that: it is not cancelled, and goes on afterwards."""
    async with Proxy(server.url) as proxy, await Bus.connect(proxy.url) as bus:
        back = asyncio.Event()
        bus.on_reconnect(back.set)
        proxy.hold()
        waiting = asyncio.create_task(bus.round_trip_ms())
        while not bus._pings:
            await asyncio.sleep(0.01)
        proxy.cut()
        proxy.let_go()
        proxy.mend()
        await asyncio.wait_for(back.wait(), 60)
        with pytest.raises(BusUnavailable, match="ping"):
            await asyncio.wait_for(waiting, 60)

        assert await bus.round_trip_ms() > 0


async def test_a_connection_hears_on_though_pings_were_under_way_when_it_came_back(tmp_path: Path) -> None:
    """Pings that go out before everybody knows that the bus is back are answered, and end nothing."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        back, heard = asyncio.Event(), asyncio.Queue[bytes]()
        bus.on_reconnect(back.set)

        async def hear(message: Received) -> None:
            heard.put_nowait(message.data)

        async def ping(pause_s: float) -> None:
            while True:
                with contextlib.suppress(BusUnavailable):
                    await bus.round_trip_ms()
                await asyncio.sleep(pause_s)

        await bus.subscribe("greeting", hear)
        pinging = [asyncio.create_task(ping(number / 100_000)) for number in range(50)]
        for _ in range(3):
            back.clear()
            await server.restart()
            await asyncio.wait_for(back.wait(), 60)
            await bus.publish("greeting", b"hello")
            assert await asyncio.wait_for(heard.get(), 5) == b"hello"
        for each in pinging:
            each.cancel()
        await asyncio.gather(*pinging, return_exceptions=True)


async def test_a_ping_that_is_given_up_ends_nothing(server: NatsServer) -> None:
    """Its answer comes when nobody waits for it any more, and those behind it come to their own pings."""
    async with Proxy(server.url) as proxy, await Bus.connect(proxy.url) as bus:
        proxy.hold()
        with pytest.raises(TimeoutError):
            await bus._ping(0.05)
        proxy.let_go()

        assert await bus.round_trip_ms() > 0
        assert bus._pings == set()


async def test_a_closed_bus_says_so(server: NatsServer) -> None:
    """Every way of using it ends in our error, and closing again does nothing."""
    bus = await Bus.connect(server.url)
    await bus.close()
    await bus.close()

    async def ignore(_: object) -> None: ...

    for use in (
        bus.publish("x", b""),
        bus.subscribe("x", ignore),
        bus.request_bytes("x", b""),
        bus.round_trip_ms(),
    ):
        with pytest.raises(BusUnavailable):
            await use
    assert not bus.is_connected
