"""The lease: one holder at a time in good weather, and a quick takeover in bad."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import pytest_asyncio
from nats.js.api import StorageType

from bus.connection import Bus
from bus.lease import LEASE_TTL_S, Lease
from bus.server import NatsServer
from tests.system.proxy import Proxy

HOLDER = """
import asyncio, sys
from bus.connection import Bus
from bus.lease import Lease

async def hold():
    bus = await Bus.connect(sys.argv[1], cluster=sys.argv[2])
    lease = Lease(bus, "coordinator", "a")
    await lease.acquire()
    print("held", flush=True)
    await lease.lost.wait()

asyncio.run(hold())
"""


@pytest_asyncio.fixture
async def proxy(server: NatsServer) -> AsyncIterator[Proxy]:
    """A network between one holder and the server."""
    async with Proxy(server.url) as running:
        yield running


@asynccontextmanager
async def proxied(proxy: Proxy, bus: Bus) -> AsyncIterator[Bus]:
    """A connection to the same cluster through `proxy`, which lets go at the end."""
    async with await Bus.connect(proxy.url, cluster=bus.subjects.cluster) as connected:
        try:
            yield connected
        finally:
            proxy.let_go()


async def test_a_lease_given_up_is_taken_at_once(bus: Bus) -> None:
    """The second holder waits while the first holds, and need not wait for it to run out after `release`."""
    first, second = Lease(bus, "coordinator", "a"), Lease(bus, "coordinator", "b")
    await asyncio.wait_for(first.acquire(), 60)
    waiting = asyncio.create_task(second.acquire())
    done, _ = await asyncio.wait([waiting], timeout=LEASE_TTL_S + 0.5)
    held_alone = not done
    await first.release()
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(waiting, 60)
    took_s = asyncio.get_running_loop().time() - begun
    await second.release()

    assert held_alone, "renewed, it outlives its time to live"
    assert took_s < LEASE_TTL_S / 2
    assert not second.lost.is_set()


async def test_a_standby_that_stops_leaves_the_leader_in_place(bus: Bus) -> None:
    """`release` by one who never held it, or no longer does, takes nothing from the holder."""
    leader, standby = Lease(bus, "verifier", "a"), Lease(bus, "verifier", "b")
    await asyncio.wait_for(leader.acquire(), 60)
    waiting = asyncio.create_task(standby.acquire())
    await asyncio.wait([waiting], timeout=0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await standby.release()
    third = asyncio.create_task(Lease(bus, "verifier", "c").acquire())
    done, _ = await asyncio.wait([third], timeout=0.7)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    await leader.release()

    assert not done
    assert not leader.lost.is_set()


async def test_roles_do_not_meet(bus: Bus) -> None:
    """The coordinator's lease is not the verifier's."""
    leases = [Lease(bus, role, "a") for role in ("coordinator", "verifier")]
    for lease in leases:
        await asyncio.wait_for(lease.acquire(), 60)
    for lease in leases:
        await lease.release()


async def test_a_holder_that_is_gone_is_replaced_before_its_lease_runs_out(
    server: NatsServer, bus: Bus
) -> None:
    """Its connection ends and the lease is not given up; the standby hears that nobody is there, and the holder finds out in time."""
    dying = await Bus.connect(server.url, cluster=bus.subjects.cluster)
    dead, standby = Lease(dying, "coordinator", "a"), Lease(bus, "coordinator", "b")
    await asyncio.wait_for(dead.acquire(), 60)
    waiting = asyncio.create_task(standby.acquire())
    await asyncio.wait([waiting], timeout=0.5)
    waited = not waiting.done()
    await dying.close()
    await asyncio.wait_for(waiting, 60)
    known = standby.taken_from_the_dead
    await asyncio.wait_for(dead.lost.wait(), 60)
    await standby.release()

    assert waited
    assert known, "found gone, not run out"


async def test_a_killed_holder_is_replaced_before_its_lease_runs_out(bus: Bus) -> None:
    """As after kill -9: the process ends, and the standby knows at once."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, bus.url, bus.subjects.cluster, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    await asyncio.wait_for(holder.stdout.readline(), 60)
    standby = Lease(bus, "coordinator", "b")
    waiting = asyncio.create_task(standby.acquire())
    await asyncio.wait([waiting], timeout=0.5)
    waited = not waiting.done()
    holder.kill()
    await holder.wait()
    await asyncio.wait_for(waiting, 60)
    await standby.release()

    assert waited
    assert standby.taken_from_the_dead


async def test_a_paused_holder_is_replaced_when_its_lease_runs_out(bus: Bus, proxy: Proxy) -> None:
    """It is still connected, so it is not called gone; nobody leads while its lease lives, and somebody does soon after."""
    async with proxied(proxy, bus) as sleeping:
        holder, standby = Lease(sleeping, "verifier", "a"), Lease(bus, "verifier", "b")
        await asyncio.wait_for(holder.acquire(), 60)
        waiting = asyncio.create_task(standby.acquire())
        await asyncio.wait([waiting], timeout=0.5)
        proxy.hold()
        await asyncio.wait_for(waiting, 60)
        proxy.let_go()
        await asyncio.wait_for(holder.lost.wait(), 60)
        await standby.release()
        await holder.release()

    assert not standby.taken_from_the_dead


async def test_a_late_renewal_keeps_the_lease(bus: Bus, proxy: Proxy) -> None:
    """On a busy machine renewals come late: by less than the lease lives, that moves it to nobody, again and again."""
    async with proxied(proxy, bus) as slow:
        holder, standby = Lease(slow, "verifier", "a"), Lease(bus, "verifier", "b")
        await asyncio.wait_for(holder.acquire(), 60)
        waiting = asyncio.create_task(standby.acquire())
        for _ in range(3):
            proxy.hold()
            await asyncio.wait([waiting], timeout=LEASE_TTL_S / 3)
            proxy.let_go()
            await asyncio.wait([waiting], timeout=LEASE_TTL_S / 3)
        held = not waiting.done() and not holder.lost.is_set()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await standby.release()
        await holder.release()

    assert held


async def test_of_standbys_that_race_one_wins(server: NatsServer, bus: Bus) -> None:
    """All of them find the holder gone at the same moment; the key's revision lets one take it."""
    dying = await Bus.connect(server.url, cluster=bus.subjects.cluster)
    dead = Lease(dying, "coordinator", "a")
    await asyncio.wait_for(dead.acquire(), 60)
    standbys = [Lease(bus, "coordinator", f"s{n}") for n in range(5)]
    racing = [asyncio.create_task(each.acquire()) for each in standbys]
    await asyncio.wait(racing, timeout=0.5)
    await dying.close()
    await asyncio.wait(racing, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(racing, timeout=1)
    won = [each.done() for each in racing]
    for each in racing:
        each.cancel()
    await asyncio.gather(*racing, return_exceptions=True)
    await asyncio.wait_for(dead.lost.wait(), 60)
    for lease in standbys:
        await lease.release()

    assert sum(won) == 1


async def test_a_holder_without_a_pulse_is_left_to_run_out(bus: Bus) -> None:
    """As one of version 0.1, or under a server that forbids the subject: nobody answers, which there means nothing."""
    bucket = await bus.js.create_key_value(
        bucket=bus.subjects.leases, ttl=LEASE_TTL_S, storage=StorageType.MEMORY
    )
    await bucket.create("coordinator", b"old")
    standby = Lease(bus, "coordinator", "b")
    waiting = asyncio.create_task(standby.acquire())
    done, _ = await asyncio.wait([waiting], timeout=LEASE_TTL_S / 2)
    await asyncio.wait_for(waiting, 60)
    await standby.release()

    assert not done
    assert not standby.taken_from_the_dead


async def holder(bus: Bus) -> bytes:
    """Whoever has the coordinator's lease at the moment."""
    while True:
        try:
            bucket = await bus.js.key_value(bus.subjects.leases)
            return (await bucket.get("coordinator")).value or b""
        except nats.errors.Error:
            await asyncio.sleep(0.05)


async def test_a_restarted_server_leaves_the_holder_in_place(tmp_path: Path) -> None:
    """Leases are in memory, and gone with it: the one who had it takes it again, before a standby that waits does."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        lease, standby = Lease(bus, "coordinator", "a"), Lease(bus, "coordinator", "b")
        await asyncio.wait_for(lease.acquire(), 60)
        waiting = asyncio.create_task(standby.acquire())
        before = await asyncio.wait_for(holder(bus), 60)
        await server.restart()
        after = await asyncio.wait_for(holder(bus), 60)
        held = not lease.lost.is_set() and not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await lease.release()

    assert held
    assert before == after
    assert after.startswith(b"a ")


async def test_a_renewal_whose_answer_was_lost_is_known_as_ours(bus: Bus) -> None:
    """The key moved on without our knowing; since its value is ours, the lease is, too."""
    lease = Lease(bus, "coordinator", "a")
    await asyncio.wait_for(lease.acquire(), 60)
    bucket = await bus.js.key_value(bus.subjects.leases)
    revision = (await bucket.get("coordinator")).revision
    assert revision is not None
    await bucket.update("coordinator", await holder(bus), last=revision)
    async with asyncio.timeout(60):
        while ((await bucket.get("coordinator")).revision or 0) <= revision + 1:
            await asyncio.sleep(0.05)
    held = not lease.lost.is_set()
    await lease.release()

    assert held
