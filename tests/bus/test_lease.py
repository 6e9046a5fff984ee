"""The lease: one holder at a time in good weather, and a quick takeover in bad."""

import asyncio
from pathlib import Path

import nats.errors

from bus.connection import Bus
from bus.lease import LEASE_TTL_S, Lease
from bus.server import NatsServer


async def test_a_lease_given_up_is_taken_at_once(bus: Bus) -> None:
    """The second holder waits while the first holds, and need not wait for it to run out after `release`."""
    first, second = Lease(bus, "coordinator", "a"), Lease(bus, "coordinator", "b")
    await asyncio.wait_for(first.acquire(), 5)
    waiting = asyncio.create_task(second.acquire())
    done, _ = await asyncio.wait([waiting], timeout=LEASE_TTL_S + 0.5)
    held_alone = not done
    await first.release()
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(waiting, 5)
    took_s = asyncio.get_running_loop().time() - begun
    await second.release()

    assert held_alone, "renewed, it outlives its time to live"
    assert took_s < LEASE_TTL_S / 2
    assert not second.lost.is_set()


async def test_a_standby_that_stops_leaves_the_leader_in_place(bus: Bus) -> None:
    """`release` by one who never held it, or no longer does, takes nothing from the holder."""
    leader, standby = Lease(bus, "verifier", "a"), Lease(bus, "verifier", "b")
    await asyncio.wait_for(leader.acquire(), 5)
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
        await asyncio.wait_for(lease.acquire(), 5)
    for lease in leases:
        await lease.release()


async def test_a_dead_holder_is_replaced_within_three_seconds(server: NatsServer, bus: Bus) -> None:
    """It goes without a word; the standby leads soon, and the holder itself knows that it does not."""
    dying = await Bus.connect(server.url, cluster=bus.subjects.cluster)
    dead, standby = Lease(dying, "coordinator", "a"), Lease(bus, "coordinator", "b")
    await asyncio.wait_for(dead.acquire(), 5)
    await dying.close()
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(standby.acquire(), 5)
    took_s = asyncio.get_running_loop().time() - begun
    await asyncio.wait_for(dead.lost.wait(), 5)
    await standby.release()

    assert took_s < 3


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
        await asyncio.wait_for(lease.acquire(), 5)
        waiting = asyncio.create_task(standby.acquire())
        before = await asyncio.wait_for(holder(bus), 5)
        await server.restart()
        after = await asyncio.wait_for(holder(bus), 20)
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
    await asyncio.wait_for(lease.acquire(), 5)
    bucket = await bus.js.key_value(bus.subjects.leases)
    revision = (await bucket.get("coordinator")).revision
    assert revision is not None
    await bucket.update("coordinator", await holder(bus), last=revision)
    async with asyncio.timeout(10):
        while ((await bucket.get("coordinator")).revision or 0) <= revision + 1:
            await asyncio.sleep(0.05)
    held = not lease.lost.is_set()
    await lease.release()

    assert held
