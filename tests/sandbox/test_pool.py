"""The pool keeps its promises when slots crash, hang, are cancelled, and when many jobs come at once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from sandbox import Job, JobLimits, ModuleStore, Outcome, PoolBroken, to_wasm
from sandbox.configuration import CONFIGURATION
from sandbox.pool import Pool
from sandbox.process import ROOT

GUEST = to_wasm(b"""(module (memory (export "memory") 1)
  (func (export "spin") (loop br 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (param i32) (result i32)
    (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))) (local.get 0)))""")
ENDLESS = JobLimits(fuel=10**17, wall_ms=20_000)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pool]:
    pool = Pool(ModuleStore(tmp_path_factory.mktemp("pool") / "store"), 2, grace_ms=200)
    await pool.start()
    yield pool
    await pool.close()


@pytest_asyncio.fixture(loop_scope="module")
async def pool(shared: Pool) -> Pool:
    """The pool of this file, in order: it has to recover from whatever a test did to it."""
    await until(lambda: len(shared.pids()) == 2)
    return shared


def job(pool: Pool, entry: str, *args: int, limits: JobLimits = ENDLESS, wasm: bytes = GUEST) -> Job:
    return Job(module=pool._store.add(wasm), entry=entry, args=list(args), limits=limits)


def running(pool: Pool) -> list[int]:
    """Numbers of the jobs that slots are running now."""
    return [p.page.read()[0] for p in pool._processes if p and p.page and p.page.read()[0]]


def alive(pid: int) -> bool:
    """Whether the process runs (one that ended and was not yet waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(fact: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for a fact."""
    end = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < end, "did not come true in time"
        await asyncio.sleep(0.002)


async def test_jobs_run(pool):
    """Results, fuel and traces come back; the same job gives the same trace in whichever slot."""
    outcomes = await asyncio.gather(*(pool.run(job(pool, "add", 2, 3)) for _ in range(50)))

    assert {(o.status, o.output, o.fuel, o.trace) for o in outcomes} == {("ok", b"5", 4, outcomes[0].trace)}
    assert pool.cpu_seconds() > 0


async def test_a_killed_slot_costs_its_running_job_only(pool):
    """SIGKILL of every slot while each runs a job: those two crash, the hundred queued behind them all succeed."""
    lost = [asyncio.ensure_future(pool.run(job(pool, "spin"))) for _ in range(2)]
    await until(lambda: len(running(pool)) == 2)
    queued = [asyncio.ensure_future(pool.run(job(pool, "add", n, 1))) for n in range(100)]
    await asyncio.sleep(0)

    for pid in pool.pids():
        os.kill(pid, signal.SIGKILL)

    crashed: list[Outcome] = await asyncio.gather(*lost)
    done: list[Outcome] = await asyncio.gather(*queued)
    assert [(o.status, o.reason) for o in crashed] == [("fault", "crash")] * 2
    assert [o.output for o in done] == [str(n + 1).encode() for n in range(100)]


async def test_slots_killed_again_and_again_lose_no_job(pool):
    """Under a stream of short jobs, kills at any moment blame at most one job each, and every job is answered once."""
    await pool.run(job(pool, "add", 0, 0))
    answers: dict[int, list[Outcome]] = {n: [] for n in range(1500)}
    for each in answers.values():
        pool.submit(job(pool, "count", 100_000), each.append)
    killed: list[int] = []
    while len(killed) < 4 and not all(answers.values()):
        before = sum(map(len, answers.values()))
        await until(lambda before=before: sum(map(len, answers.values())) > before and bool(pool.pids()))
        killed.append(pool.pids()[-1])
        os.kill(killed[-1], signal.SIGKILL)
        await until(lambda: killed[-1] not in pool.pids())
    await until(lambda: all(answers.values()), 20)

    assert all(len(each) == 1 for each in answers.values())
    assert sum(each[0].status == "fault" for each in answers.values()) <= len(killed)
    assert len(killed) > 1


async def test_wall_time_interrupts_a_guest(pool):
    """A guest over its wall time is a fault of the machine; its slot lives on."""
    pids = pool.pids()
    outcome = await pool.run(job(pool, "spin", limits=JobLimits(fuel=10**17, wall_ms=100)))

    assert (outcome.status, outcome.reason, outcome.trace) == ("fault", "wall", "")
    assert 100 <= outcome.wall_ms < 1000
    assert pool.pids() == pids


async def test_a_slot_that_hangs_is_killed(pool):
    """A process that no longer answers at all (stopped here) costs its job, and is replaced."""
    waiting = asyncio.ensure_future(pool.run(job(pool, "spin", limits=JobLimits(fuel=10**17, wall_ms=300))))
    await until(lambda: len(running(pool)) == 1)
    stopped = next(p for p in pool._processes if p and p.page and p.page.read()[0])
    os.kill(stopped.pid, signal.SIGSTOP)
    outcome = await waiting

    assert (outcome.status, outcome.reason) == ("fault", "wall")
    await until(lambda: all(pool._dispatcher.ready))
    assert stopped.pid not in pool.pids()
    assert (await pool.run(job(pool, "add", 1, 1))).output == b"2"


async def test_a_cancelled_guest_stops_at_once(pool):
    """Cancelling a running job frees its slot well within a second, and its callback never comes."""
    called: list[Outcome] = []
    tickets = [pool.submit(job(pool, "spin"), called.append) for _ in range(2)]
    await until(lambda: len(running(pool)) == 2)
    begun = time.monotonic()

    assert [pool.cancel(ticket) for ticket in tickets] == [True, True]
    assert (await pool.run(job(pool, "add", 1, 1))).output == b"2"
    assert time.monotonic() - begun < 1
    assert [pool.cancel(ticket) for ticket in tickets] == [False, False]
    assert called == []


async def test_a_cancelled_guest_that_does_not_stop_is_killed(pool):
    """Where interruption does not work the slot goes."""
    ticket = pool.submit(job(pool, "spin"), lambda _outcome: None)
    await until(lambda: len(running(pool)) == 1)
    stopped = next(p for p in pool._processes if p and p.page and p.page.read()[0])
    os.kill(stopped.pid, signal.SIGSTOP)
    pool.cancel(ticket)

    await until(lambda: stopped.pid not in pool.pids() and all(pool._dispatcher.ready), 5)


async def test_a_cancelled_queued_job_never_runs(pool):
    """Jobs given up while they wait, at the pool or at a slot, are dropped."""
    await pool.run(job(pool, "count", 1000))
    called: list[Outcome] = []
    tickets = [pool.submit(job(pool, "count", 1000), called.append) for _ in range(200)]
    await asyncio.sleep(0)
    for ticket in tickets:
        pool.cancel(ticket)

    assert (await pool.run(job(pool, "add", 1, 1))).status == "ok"
    await until(lambda: not any(pool._dispatcher.at))
    assert called == []


async def test_cancelling_the_wait_cancels_the_job(pool):
    """`run` under a timeout leaves nothing running."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.run(job(pool, "spin")), 0.2)
    await until(lambda: not running(pool))


async def test_short_jobs_do_not_wait_behind_a_long_one(pool):
    """A job mistaken for short gives back what was queued behind it: others run them meanwhile."""
    for _ in range(20):
        await pool.run(job(pool, "count", 100))
    long = job(pool, "count", 2**31 - 1)
    tickets = [pool.submit(long, lambda _outcome: None)]
    begun = time.monotonic()
    outcomes = await asyncio.gather(*(pool.run(job(pool, "count", 100)) for _ in range(200)))

    assert {o.status for o in outcomes} == {"ok"}
    assert time.monotonic() - begun < 1.5
    assert pool.cancel(tickets[0])


async def test_an_unfit_module_is_a_deterministic_failure(pool):
    """A module that no machine can run fails alike everywhere, with a trace, also the second time."""
    bad = to_wasm(b'(module (import "env" "f" (func)) (func (export "g")))')
    first, second = [await pool.run(job(pool, "g", wasm=bad)) for _ in range(2)]

    assert (first.status, first.reason, len(first.trace)) == ("failed", "invalid", 64)
    assert (first.trace, first.detail) == (second.trace, second.detail)
    assert "env.f" in first.detail


async def test_invalid_code_is_found_by_the_compiler(pool):
    """Bytes that parse but do not validate are refused in the guest author's terms."""
    bad = to_wasm(b'(module (func (export "f") (result i32) i64.const 1))')

    assert (await pool.run(job(pool, "f", wasm=bad))).reason == "invalid"


async def test_an_unknown_module_is_this_machines_trouble(pool):
    """What is not in the store may be elsewhere."""
    outcome = await pool.run(Job(module="0" * 64, entry="f"))

    assert (outcome.status, outcome.reason) == ("fault", "unavailable")


async def test_a_tampered_artefact_is_made_again(pool):
    """A slot that meets a forged compiled form does not load it; the module is compiled again and the job runs."""
    store = pool._store
    unseen = GUEST + b"\0\x02\x01x"
    digest = store.add(unseen)
    forged = store.path / f"{digest}.{CONFIGURATION}.native"
    forged.write_bytes(b"\x7fELF" + bytes(10_000))

    assert (await pool.run(job(pool, "add", 20, 22, wasm=unseen))).output == b"42"
    assert forged.stat().st_size > 10_004


@pytest.mark.parametrize("bad", [{"args": [2**70]}, {"args": ["\ud800"]}, {"entry": "\ud800"}])
async def test_what_cannot_travel_is_refused(pool, bad):
    """Values that no message can carry are invalid, not an exception."""
    outcome = await pool.run(Job(**{"module": pool._store.add(GUEST), "entry": "add", **bad}))

    assert (outcome.status, outcome.reason) == ("failed", "invalid")


async def test_a_megabyte_in_and_out(pool, guests):
    """Large inputs and outputs travel whole, several at once."""
    text = guests.text(
        """(local $n i32)
        (loop
          (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 2000000))
          (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          (local.set $n (i32.load (i32.const 8)))
          (call $say (i32.const 65536) (local.get $n))
          (br_if 0 (local.get $n)))""",
        memory="40",
    )
    data = [os.urandom(1 << 20) for _ in range(8)]
    echo = job(pool, "_start", wasm=to_wasm(text.encode()))
    outcomes = await asyncio.gather(*(pool.run(msgspec.structs.replace(echo, input=each)) for each in data))

    assert [o.output for o in outcomes] == data


async def test_too_large_a_job_is_refused(pool):
    """What would not fit into a message is refused, and harms nothing."""
    big = msgspec.structs.replace(job(pool, "add", 1, 1), input=bytes(129 << 20))

    assert (await pool.run(big)).reason == "invalid"
    assert (await pool.run(job(pool, "add", 1, 1))).status == "ok"


async def test_a_malformed_job_harms_no_other(pool):
    """A job of wrong types is answered; those beside it run."""
    bad = pool.run(Job(module=pool._store.add(GUEST), entry=5))  # type: ignore[arg-type]
    good = [pool.run(job(pool, "add", 1, 1)) for _ in range(10)]
    refused, *outcomes = await asyncio.gather(bad, *good)

    assert refused.status == "fault"
    assert {o.status for o in outcomes} == {"ok"}


async def test_a_slow_compilation_is_ended(tmp_path):
    """A module that takes too long to compile costs the compiler's process, not a slot; the next one compiles."""
    pool = Pool(ModuleStore(tmp_path / "store"), 1, compile_s=0.6)
    await pool.start()
    body = "(drop (call 0 (i32.const 1) (i32.const 2)))" * 60_000
    bomb = to_wasm(
        f'(module (func (param i32 i32) (result i32) local.get 0) (func (export "f") {body}))'.encode()
    )
    try:
        outcome = await pool.run(job(pool, "f", wasm=bomb))
        assert (outcome.status, outcome.reason) == ("fault", "unavailable")
        assert "compiling" in outcome.detail
        assert pool._dispatcher.ready == [True]
    finally:
        await pool.close()


async def test_a_compilation_over_its_memory_is_ended(tmp_path):
    """A compiler that runs out of memory dies alone."""
    pool = Pool(ModuleStore(tmp_path / "store"), 1, compile_memory_mb=8)
    await pool.start()
    try:
        outcome = await pool.run(job(pool, "add", 1, 1))
        assert (outcome.status, outcome.reason) == ("fault", "unavailable")
    finally:
        await pool.close()


async def test_two_pools_share_a_store(tmp_path):
    """Separate processes over one folder agree on every result, and compile side by side without harm."""
    pools = [Pool(ModuleStore(tmp_path / "store"), 1) for _ in range(2)]
    await asyncio.gather(*(p.start() for p in pools))
    try:
        outcomes = await asyncio.gather(*(p.run(job(p, "count", n)) for n in range(1, 20) for p in pools))
    finally:
        await asyncio.gather(*(p.close() for p in pools))

    pairs = list(zip(outcomes[::2], outcomes[1::2], strict=True))
    assert all((a.output, a.fuel, a.trace) == (b.output, b.fuel, b.trace) for a, b in pairs)


async def test_closing_answers_what_is_open(tmp_path):
    """No job is forgotten: those open at the end, and those that come later, are answered."""
    pool = Pool(ModuleStore(tmp_path / "store"), 1)
    await pool.start()
    pids = pool.pids()
    open_jobs = [asyncio.ensure_future(pool.run(job(pool, "spin"))) for _ in range(3)]
    await until(lambda: len(running(pool)) == 1)
    await pool.close()
    late = await pool.run(job(pool, "add", 1, 1))

    assert [o.reason for o in [*(await asyncio.gather(*open_jobs)), late]] == ["unavailable"] * 4
    assert not any(map(alive, pids))


async def test_signatures_are_verified_within_the_fences(pool, guests):
    """The library that verifies signatures loads in a slot that has given up files."""
    text = guests.text("""(call $say_number
      (call $ed25519_verify (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))""")
    outcome = await pool.run(job(pool, "_start", wasm=to_wasm(text.encode())))

    assert (outcome.status, outcome.output) == ("ok", (1000).to_bytes(4, "little"))


async def test_separate_processes_agree_with_this_one(pool, guests):
    """A slot, and an engine in this process over another store, give the same bytes, fuel and trace."""
    text = guests.text("""(drop (call $random_get (i32.const 0) (i32.const 64)))
      (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 64)))
      (f64.store (i32.const 72) (f64.sqrt (f64.convert_i32_u (i32.load (i32.const 0)))))
      (call $say (i32.const 0) (i32.const 80))""")
    asked = Job(module=guests.add(text), input=b"in", env={"A": "b"}, seed=b"seed", args=["x", 1, 1.5])
    pool._store.add(to_wasm(text.encode()))
    here, there = guests.runner.run(asked), await pool.run(asked)

    assert (here.status, len(here.output)) == ("ok", 80)
    assert (here.output, here.fuel, here.trace) == (there.output, there.fuel, there.trace)


async def test_a_callback_that_fails_stops_nothing(pool):
    """One caller's mistake is reported to the loop; the pool goes on."""
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    pool.submit(job(pool, "add", 1, 1), lambda _outcome: 1 / 0)
    assert (await pool.run(job(pool, "add", 1, 1))).output == b"2"

    await until(lambda: len(reported) == 1)
    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_a_pool_that_cannot_start_says_so(tmp_path, monkeypatch):
    """Slots that do not come up are an error with advice, and leave nothing running."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    pool = Pool(ModuleStore(tmp_path / "store"), 2)

    with pytest.raises(PoolBroken, match="did not start"):
        await pool.start()
    assert pool.pids() == []


async def test_jobs_do_not_wait_for_ever_for_a_machine_that_broke(tmp_path, monkeypatch):
    """When no slot is up and none comes up again, what waits is answered: better elsewhere than never."""
    pool = Pool(ModuleStore(tmp_path / "store"), 1)
    await pool.start()
    try:
        await pool.run(job(pool, "add", 1, 1))
        lost = asyncio.ensure_future(pool.run(job(pool, "spin")))
        await until(lambda: len(running(pool)) == 1)
        waiting = asyncio.ensure_future(pool.run(job(pool, "add", 1, 1)))
        monkeypatch.setattr(sys, "executable", "/bin/false")
        os.kill(pool.pids()[0], signal.SIGKILL)

        assert [o.reason for o in await asyncio.gather(lost, waiting)] == ["crash", "unavailable"]
    finally:
        await pool.close()


PARENT = """
import asyncio, sys
from sandbox import Job, JobLimits, ModuleStore
from sandbox.pool import Pool

async def main():
    store = ModuleStore(sys.argv[1])
    pool = Pool(store, 2)
    await pool.start()
    spin = Job(module=sys.argv[2], entry="spin", limits=JobLimits(fuel=10**17, wall_ms=60_000))
    pool.submit(spin, print)
    while not any(p.page.read()[0] for p in pool._processes):
        await asyncio.sleep(0.01)
    print(*pool.pids(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_slots_die_with_their_parent(tmp_path):
    """SIGKILL of the node leaves no slot behind, not even one with a guest in an endless loop."""
    digest = ModuleStore(tmp_path / "store").add(GUEST)
    command = [sys.executable, "-c", PARENT, str(tmp_path / "store"), digest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": ROOT}) as parent:  # noqa: ASYNC220
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        parent.kill()

    assert len(pids) == 2
    await until(lambda: not any(alive(int(pid)) for pid in pids), 5)
