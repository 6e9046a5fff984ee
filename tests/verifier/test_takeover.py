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
from bus.errors import NoResponder
from bus.messages import ServiceHealth
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
                return await bus.request(bus.subjects.service(SERVICE, "health"), b"", ServiceHealth)
            except NoResponder:
                await asyncio.sleep(0.01)  # nobody announces a service; asking again is the only way


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
