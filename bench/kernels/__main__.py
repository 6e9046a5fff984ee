"""Print how much longer each kernel takes as a guest than natively: ``python -m bench.kernels``.

Native code is for the processor family's baseline, and once more tuned to this very processor. Guests run on plain
wasmtime, compiled beforehand: bare, then with fuel, canonical NaNs and epoch checks added one by one. Each time is the best of several runs, native and guest in turn, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import wasmtime

from bench.kernels import KERNELS, build_native, build_wasm, load_native

FUEL = 10**15
Functions = dict[str, Callable[[int], int]]


def _engine(*, fuel: bool, epochs: bool, canonical_nan: bool) -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = fuel
    config.epoch_interruption = epochs
    config.cranelift_nan_canonicalization = canonical_nan
    return wasmtime.Engine(config)


def guest_functions(module: Path, *, fuel: bool, epochs: bool, canonical_nan: bool) -> Functions:
    """The kernels of ``module`` in one fresh instance, by name."""
    engine = _engine(fuel=fuel, epochs=epochs, canonical_nan=canonical_nan)
    store = wasmtime.Store(engine)
    if fuel:
        store.set_fuel(FUEL)
    if epochs:
        store.set_epoch_deadline(1)
    exports = wasmtime.Instance(store, wasmtime.Module.from_file(engine, str(module)), []).exports(store)

    def call(name: str) -> Callable[[int], int]:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)  # noqa: S101 (narrows the type)
        return lambda rounds: int(function(store, rounds))

    return {kernel.name: call(kernel.name) for kernel in KERNELS}


def _seconds(function: Callable[[int], int], rounds: int) -> tuple[float, int]:
    start = time.perf_counter()
    checksum = function(rounds)
    return time.perf_counter() - start, checksum


def compare(builds: dict[str, Functions], runs: int) -> list[dict[str, object]]:
    """One row per kernel: native milliseconds, and each other build's time as a multiple of it.

    Raises:
        RuntimeError: two builds disagree on a checksum, so their times mean nothing.
    """
    rows: list[dict[str, object]] = []
    for kernel in KERNELS:
        best = dict.fromkeys(builds, float("inf"))
        checksums: dict[str, int] = {}
        for _ in range(runs):
            for label, functions in builds.items():
                taken, checksums[label] = _seconds(functions[kernel.name], kernel.rounds)
                best[label] = min(best[label], taken)
        if len(set(checksums.values())) > 1:
            raise RuntimeError(f"{kernel.name}: builds disagree, correct the kernel: {checksums}")
        ratios = {label: round(best[label] / best["native"], 3) for label in builds if label != "native"}
        rows.append({"kernel": kernel.name, "native_ms": round(best["native"] * 1e3, 2), **ratios})
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Build, measure, print; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.kernels", description="Guests against native code."
    )
    parser.add_argument("--runs", type=int, default=7, help="runs of each build, of which the best counts")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        module = build_wasm(Path(name))
        builds = {
            "native": load_native(build_native(Path(name))),
            "native, tuned": load_native(build_native(Path(name), tuned=True)),
            "plain": guest_functions(module, fuel=False, epochs=False, canonical_nan=False),
            "fuel": guest_functions(module, fuel=True, epochs=False, canonical_nan=False),
            "fuel, NaN": guest_functions(module, fuel=True, epochs=False, canonical_nan=True),
            "fuel, NaN, epochs": guest_functions(module, fuel=True, epochs=True, canonical_nan=True),
        }
        rows = compare(builds, options.runs)
    if options.json:
        print(json.dumps(rows))
        return 0
    table: list[list[object]] = [list(rows[0]), *(list(row.values()) for row in rows)]
    for cells in table:
        print("".join(f"{cell!s:>19}" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
