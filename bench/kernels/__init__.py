"""Compute kernels in C that compile both to native code and to WebAssembly, to compare the two.

Guarantees: both builds come from the same sources, the same compiler (the wheel ``ziglang``) and the same
optimisation level; native code is for the processor family's baseline, as distributed programs are, unless asked
otherwise, and the module may use WebAssembly's fixed-width SIMD. Kernels need no C library, import nothing, and answer with a checksum.
"""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["KERNELS", "Kernel", "KernelBuildError", "build_native", "build_wasm", "load_native"]

HERE = Path(__file__).resolve().parent

COMPILE_TIMEOUT_S = 300
COMMON_FLAGS = ("-O2", "-std=c11", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")


@dataclasses.dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: the exported function's name, and how many rounds take some tens of milliseconds natively."""

    name: str
    rounds: int


KERNELS = (
    Kernel("sieve", 100),
    Kernel("matmul_int", 150),
    Kernel("matmul_float", 150),
    Kernel("sha256", 100_000),
    Kernel("branches", 1_000),
)


class KernelBuildError(Exception):
    """A kernel could not be built; the message carries the compiler's words."""


def build_wasm(folder: Path) -> Path:
    """Compile all kernels into one module in ``folder`` and return its path.

    Raises:
        KernelBuildError: the compiler is missing or refused the sources.
    """
    target = folder / "kernels.wasm"
    _compile(target, "-target", "wasm32-wasi", "-msimd128", "-s", "-nostdlib", "-Wl,--no-entry")
    return target


def build_native(folder: Path, *, tuned: bool = False) -> Path:
    """Compile all kernels into one shared library in ``folder`` and return its path.

    ``tuned`` uses every extension of this very processor, which a distributed program cannot assume.

    Raises:
        KernelBuildError: the compiler is missing or refused the sources.
    """
    suffix = "dll" if sys.platform == "win32" else "so"
    target = folder / (f"tuned.{suffix}" if tuned else f"kernels.{suffix}")
    _compile(target, "-shared", "-fPIC", "-fvisibility=hidden", "-mcpu=native" if tuned else "-mcpu=baseline")
    return target


def load_native(library: Path) -> dict[str, Callable[[int], int]]:
    """The kernels of a library that ``build_native`` made, by name."""
    loaded = ctypes.CDLL(str(library))
    functions: dict[str, Callable[[int], int]] = {}
    for kernel in KERNELS:
        function = loaded[kernel.name]
        function.argtypes, function.restype = [ctypes.c_int32], ctypes.c_int64
        functions[kernel.name] = function
    return functions


def _compile(target: Path, *flags: str) -> None:
    sources = [f"{kernel.name}.c" for kernel in KERNELS]
    command = [sys.executable, "-m", "ziglang", "cc", *COMMON_FLAGS, *flags, *sources, "-o", str(target)]
    done = subprocess.run(  # noqa: S603 (the command is built from constants and the caller's folder)
        command, cwd=HERE, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
    )
    if done.returncode:
        advice = "install the extra [guests] (ziglang) and correct the sources"
        raise KernelBuildError(f"{target.name}: {advice}; the compiler says:\n{done.stderr.strip()}")
