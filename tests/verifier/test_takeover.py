"""Verifiers that die, are fought over, and take over: the log stays the one truth."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats.js.errors

from bus.connection import Bus
from bus.errors import BusUnavailable
from bus.fence import EPOCH, LEADER
from bus.messages import Leader, ServiceHealth
from bus.server import NatsServer
from bus.signing import Identity
from bus.streams import last_sequence
from tests.verifier.scripted import TWO_OF_THREE, WAIT_S, Script, assigned, result, verifying
from verifier.term import SERVICE

PROCESS = """
import asyncio, sys
from pathlib import Path
from verifier.service import run
from verifier.settings import VerifierSettings
asyncio.run(run(VerifierSettings(url=sys.argv[1], cluster=sys.argv[2], data=Path(sys.argv[3]), name=sys.argv[4])))
"""


@contextmanager
def process(url: str, cluster: str, data: Path, name: str = "v1") -> Iterator[subprocess.Popen[bytes]]:
    """A verifier as a process of its own."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS, url, cluster, str(data), name], stdout=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def leader(bus: Bus) -> ServiceHealth:
    """Wait until a verifier leads and return what it says of itself."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                subject = bus.subjects.service(SERVICE, "health")
                return await bus.request(subject, b"", ServiceHealth, timeout_s=1)
            except BusUnavailable:  # nobody leads, or one was asked that is just dying
                await asyncio.sleep(0.01)  # nobody announces a service; asking again is the only way


async def instances(bus: Bus, wanted: int) -> list[ServiceHealth]:
    """Wait until so many verifiers say how they are, one of them leading and all as far as it is."""
    subject = bus.subjects.service(SERVICE, "instances")
    async with asyncio.timeout(WAIT_S):
        while True:
            there = await bus.request_each(subject, b"", ServiceHealth)
            if len(there) == wanted and len({each.epoch for each in there}) == 1:
                return there


async def drop_lease(bus: Bus) -> None:
    """Take the lease from whoever holds it, without telling it."""
    bucket = await bus.js.key_value(bus.subjects.leases)
    await bucket.delete(SERVICE)


async def lease_holder(bus: Bus) -> str:
    """Who holds the lease right now, nobody being the empty string."""
    bucket = await bus.js.key_value(bus.subjects.leases)
    try:
        return ((await bucket.get(SERVICE)).value or b"").decode()
    except nats.js.errors.KeyNotFoundError:
        return ""


async def test_a_killed_verifier_leaves_one_verdict(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """Kill -9 under load, again and again: each task gets its verdict once, from whichever process was there."""
    names = [f"me.k{n}" for n in range(120)]
    async with Script(bus) as script:
        await script.enrol("n1")
        with process(server.url, cluster, tmp_path) as first:
            await leader(bus)
            for at, name in enumerate(names):
                decision = await script.assign(name, "n1")
                await script.claim(result(name, "n1", decision=decision))
                if at == 60:
                    first.kill()
        with process(server.url, cluster, tmp_path):
            await script.until(lambda: len(script.verdicts) == len(names))
            await script.settle()

        assert set(names) < set(script.verdicts)
        assert script.lates == []


async def test_half_a_quorum_survives_a_kill(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """Votes counted before a kill -9 count after it: they are in RESULTS, not in a memory."""
    async with Script(bus) as script:
        await script.enrol("n1", "n2", "n3")
        with process(server.url, cluster, tmp_path):
            await leader(bus)
            decision = await script.assign("me.t1", "n1", "n2", "n3", verify=TWO_OF_THREE)
            await script.claim(result("me.t1", "n1", decision=decision))
            await script.settle()
        with process(server.url, cluster, tmp_path):
            await script.claim(result("me.t1", "n3", decision=decision))
            verdict = await script.verdict("me.t1")

        assert verdict.agree == ("n1", "n3")


async def test_sigterm_gives_the_lease_up_at_once(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """A standby leads after an orderly stop without waiting for the lease to run out; the stopped one ends with 0."""
    with (
        process(server.url, cluster, tmp_path / "a", "a") as first,
        process(server.url, cluster, tmp_path / "b", "b") as second,
    ):
        led = await leader(bus)
        leading, standby = (first, "b") if led.name == "a" else (second, "a")
        leading.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(leading.wait, WAIT_S)
        holder = await lease_holder(bus)
        taken = await leader(bus)

    assert status == 0
    assert holder != led.name
    assert taken.name == standby


async def test_twins_are_told_apart_by_the_log(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """Two verifiers that both believe they lead: the log refuses one, and no task has two verdicts."""
    names = [f"me.w{n}" for n in range(200)]
    async with (
        Script(bus) as script,
        verifying(server.url, cluster, tmp_path / "a", "a"),
        verifying(server.url, cluster, tmp_path / "b", "b"),
    ):
        await script.enrol("n1")
        await leader(bus)
        for at, name in enumerate(names):
            if at % 60 == 30:
                await drop_lease(bus)
            decision = await script.assign(name, "n1")
            await script.claim(result(name, "n1", decision=decision))
        await script.until(lambda: len(script.verdicts) == len(names))
        await script.settle()

        assert set(names) < set(script.verdicts)


async def test_a_second_writer_is_refused_and_folds_again(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """A verdict that somebody else put into the log wins: the verifier is fenced, re-reads it, and never contradicts it."""
    other = Identity.generate()
    async with Script(bus) as script, verifying(server.url, cluster, tmp_path):
        await script.enrol("n1")
        await leader(bus)
        await script.write_verdict("me.t1", other)
        decision = await script.assign("me.t1", "n1")
        await script.claim(result("me.t1", "n1", decision=decision))
        await script.settle()

        assert script.verdicts["me.t1"].reason == "written by another"
        assert [(line.node, line.agrees) for line in script.lates] == []


async def test_a_restart_finds_everything_settled(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """A new verifier on old logs writes who leads and nothing else, and answers for every old verdict, read from the log."""
    names = [f"me.r{n}" for n in range(200)]
    async with Script(bus) as script:
        async with verifying(server.url, cluster, tmp_path):
            await script.enrol("n1", "n2", "n3")
            nodes = ("n1", "n2", "n3")
            decision = await script.decide(*(assigned(n, nodes, verify=TWO_OF_THREE) for n in names))
            for node in nodes:
                await script.claim(*(result(name, node, decision=decision) for name in names))
            await script.until(lambda: len(script.verdicts) == len(names))
        written = await last_sequence(bus, "verdicts")
        async with verifying(server.url, cluster, tmp_path):
            health = await leader(bus)
            answered = await script.ask_verdicts(names)

        assert await last_sequence(bus, "verdicts") == written + 1
        assert health.folded["verdicts"] >= written
        assert (health.open, health.nodes) == (0, 3)
        assert answered == [script.verdicts[name] for name in names]


async def test_the_bus_may_go_and_come_back(tmp_path: Path) -> None:
    """The server is killed and started again under the verifier: it goes on by itself, and nothing is judged twice."""
    async with (
        NatsServer(tmp_path / "nats") as server,
        verifying(server.url, "home", tmp_path / "v"),
        await Bus.connect(server.url, cluster="home", timeout_s=None) as bus,
    ):
        await leader(bus)
        async with Script(bus) as script:
            await script.enrol("n1")
            for at in range(3):
                decision = await script.assign(f"me.t{at}", "n1")
                await script.claim(result(f"me.t{at}", "n1", decision=decision))
                await script.verdict(f"me.t{at}")
                await server.restart()
                await bus.round_trip_ms()
            await leader(bus)
            await script.settle()

            assert {"me.t0", "me.t1", "me.t2"} < set(script.verdicts)


async def test_each_leadership_opens_an_epoch_and_signs_its_records(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """The first line of a verifier that leads is its epoch and name; every record after it names both in its headers."""
    async with Script(bus) as script:
        for number in (1, 2):
            async with verifying(server.url, cluster, tmp_path, f"v{number}"):
                await leader(bus)
                await script.enrol("n1")
                decision = await script.assign(f"me.e{number}", "n1")
                await script.claim(result(f"me.e{number}", "n1", decision=decision))
                await script.verdict(f"me.e{number}")
        opened = [line for line in script.lines if isinstance(line, Leader)]
        signed = []
        for sequence in range(1, await last_sequence(bus, "verdicts") + 1):
            headers = (await bus.js.get_msg(bus.subjects.stream("verdicts"), seq=sequence)).headers or {}
            signed.append((headers[LEADER], headers[EPOCH]))

    assert opened == [Leader(epoch=1, leader="v1"), Leader(epoch=2, leader="v2")]
    assert signed == sorted(signed)
    assert set(signed) == {("v1", "1"), ("v2", "2")}


async def test_a_killed_leader_is_followed_before_its_lease_runs_out(
    bus: Bus, server: NatsServer, cluster: str, tmp_path: Path
) -> None:
    """After kill -9 the standby finds the leader gone, and tells so; until then it says that it stands by, and how far it is."""
    with (
        process(server.url, cluster, tmp_path / "a", "a") as first,
        process(server.url, cluster, tmp_path / "b", "b") as second,
    ):
        led = await leader(bus)
        there = await instances(bus, 2)
        (first if led.name == "a" else second).kill()
        taken = await leader(bus)
        epochs = [led.epoch, taken.epoch]

    standby = next(each for each in there if not each.leading)
    assert {each.name for each in there} == {"a", "b"}
    assert (standby.epoch, standby.since_ms) == (1, 0)
    assert set(standby.lag) == {"assignments", "results", "verdicts"}
    assert taken.name != led.name
    assert taken.since_ms > led.since_ms > 0
    assert epochs == [1, 2]
