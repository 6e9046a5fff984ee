"""What the sandbox costs: per task beyond the guest's own work, and per instruction against native code.

Overhead is a burst of tasks through one slot, messages to and from it included, divided by their number; the guests
do nothing of their own worth measuring. Guests against native code are the kernels of `bench.kernels`, run in a
slot as any task is (fuel, epochs and canonical NaNs on), in turn with the same C compiled for this machine's family.
"""

import asyncio
import math
import tempfile
import time
from pathlib import Path

from bench.kernels import KERNELS, build_native, build_wasm, load_native
from bench.rows import Row, median_of
from sandbox import Job, JobLimits, ModuleStore, to_wasm
from sandbox.pool import Pool

TASKS = 5_000
RUNS = 5
LIMITS = JobLimits(fuel=10**15)
NOTES = {
    "matmul_float": "making NaNs canonical, which determinism needs, doubles float-bound loops: see bench.kernels"
}

FUNCTION = (
    b'(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
)
COMMAND = b"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\40\\00\\00\\00\\00\\10\\00\\00")
  (func (export "_start")
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 16)))
    (drop (call $random (i32.const 24) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))))"""


async def _burst(pool: Pool, job: Job) -> tuple[float, float, float]:
    """Microseconds per task: elapsed, CPU of this process, CPU of the slot."""
    ended = asyncio.Event()
    left = TASKS

    def done(outcome: object) -> None:
        nonlocal left
        left -= 1
        if getattr(outcome, "status", "") != "ok":
            raise RuntimeError(f"the benchmark's own guest failed: {outcome}")
        if left == 0:
            ended.set()

    begun, cpu, slot_cpu = time.perf_counter(), time.process_time(), pool.cpu_seconds()
    for _ in range(TASKS):
        pool.submit(job, done)
    await ended.wait()
    taken = (
        time.perf_counter() - begun,
        time.process_time() - cpu,
        pool.cpu_seconds() - slot_cpu,
    )
    return taken[0] / TASKS * 1e6, taken[1] / TASKS * 1e6, taken[2] / TASKS * 1e6


async def _alone(pool: Pool, job: Job) -> float:
    """Microseconds from submission to outcome, nothing else going on."""
    times = []
    for _ in range(200):
        begun = time.perf_counter()
        await pool.run(job)
        times.append((time.perf_counter() - begun) * 1e6)
    return median_of(times)


async def _overhead(pool: Pool, name: str, job: Job, aim: float, floor: float) -> Row:
    await pool.run(job)
    bursts = [await _burst(pool, job) for _ in range(RUNS)]
    elapsed, here, slot = (median_of([burst[part] for burst in bursts]) for part in range(3))
    alone = await _alone(pool, job)
    return Row(
        name=f"overhead per task: {name}",
        value=elapsed,
        unit="µs",
        aim=aim,
        floor=floor,
        note=f"CPU {here:.0f} µs in the pool, {slot:.0f} µs in the slot; one alone, there and back {alone:.0f} µs",
    )


async def _against_native(pool: Pool, store: ModuleStore, folder: Path) -> list[Row]:
    native = load_native(build_native(folder))
    module = store.add(build_wasm(folder).read_bytes())
    rows: list[Row] = []
    for kernel in KERNELS:
        job = Job(module=module, entry=kernel.name, args=[kernel.rounds], limits=LIMITS)
        ratios = [await _ratio(pool, job, native[kernel.name], kernel.rounds) for _ in range(RUNS)]
        name, note = f"guest against native: {kernel.name}", NOTES.get(kernel.name, "")
        rows.append(Row(name=name, value=median_of(ratios), unit="x", aim=1.3, floor=1.8, note=note))
    mean = math.exp(sum(math.log(row.value) for row in rows) / len(rows))
    note = "geometric mean; fuel, epochs and canonical NaNs on"
    return [Row(name="guest against native", value=mean, unit="x", aim=1.3, floor=1.8, note=note), *rows]


async def _ratio(pool: Pool, job: Job, native: object, rounds: int) -> float:
    begun = time.perf_counter()
    checksum = native(rounds) if callable(native) else None
    native_ms = (time.perf_counter() - begun) * 1000
    outcome = await pool.run(job)
    if outcome.output != str(checksum).encode():
        raise RuntimeError(
            f"{job.entry}: guest and native disagree: {outcome.output!r}, {checksum}; {outcome.detail}"
        )
    return outcome.wall_ms / native_ms


async def _measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        store = ModuleStore(Path(name) / "store")
        pool = Pool(store, 1)
        await pool.start()
        try:
            function = Job(module=store.add(to_wasm(FUNCTION)), entry="add", args=[2, 3])
            command = Job(module=store.add(to_wasm(COMMAND)), input=b"hello", seed=bytes(32))
            return [
                await _overhead(pool, "exported function", function, 100, 200),
                await _overhead(pool, "WASI command, five host calls", command, 180, 350),
                *await _against_native(pool, store, Path(name)),
            ]
        finally:
            await pool.close()


def main() -> list[Row]:
    """Measure; one row per figure."""
    return asyncio.run(_measure())
