"""What the example guests are and how each is built: one table, read by the build and by the README.

Guarantees: every committed module has exactly one recipe. Building is left to ``build``.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

__all__ = ["DIGITS_ACCURACY", "MISBEHAVING", "RECIPES", "WELL_BEHAVED", "Recipe"]

Language = Literal["C", "Go", "WAT"]

DIGITS_ACCURACY = 0.975
"""Share of the hold-out images that the network classifies rightly: 351 of 360, which a test counts again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One guest: where its sources are, how to build it, and what its README row says.

    Attributes:
        name: module path below this folder, without ``.wasm``.
        language: what it is written in, which chooses the compiler.
        sources: source files, relative to this folder.
        entry: ``_start`` for a WASI command, else the signatures of the exported functions.
        takes: what the guest reads.
        gives: what the guest answers.
        flags: further compiler arguments.
        committed: whether the module itself is in the repository (Go modules are megabytes, so they are not).
    """

    name: str
    language: Language
    sources: tuple[str, ...]
    entry: str
    takes: str
    gives: str
    flags: tuple[str, ...] = ()
    committed: bool = True

    @property
    def module(self) -> str:
        """The built module's path, relative to this folder."""
        return f"{self.name}.wasm"


def _command(
    name: str, sources: tuple[str, ...], *, takes: str, gives: str, flags: tuple[str, ...] = ()
) -> Recipe:
    return Recipe(
        name=name,
        language="C",
        sources=sources,
        entry="`_start`",
        takes=takes,
        gives=gives,
        flags=("-Oz", "-Ishared", *flags),
    )


def _wat(name: str, entry: str, *, takes: str, gives: str) -> Recipe:
    return Recipe(
        name=name, language="WAT", sources=(f"{name}/{name}.wat",), entry=entry, takes=takes, gives=gives
    )


def _misbehaving(name: str, entry: str, gives: str, *, takes: str = "nothing") -> Recipe:
    path = f"misbehaving/{name}"
    return Recipe(name=path, language="WAT", sources=(f"{path}.wat",), entry=entry, takes=takes, gives=gives)


_BOTH_WAYS = "`_start`, `run()`"

WELL_BEHAVED = (
    _wat("add", "`add(i32, i32) -> i32`", takes="two numbers", gives="their sum, modulo 2^32"),
    _wat(
        "fast", "`_start`, `fast()`", takes="nothing", gives="nothing: what remains is the sandbox's own cost"
    ),
    _wat("upper", "`_start`", takes="any bytes on stdin", gives="the same with ASCII letters in upper case"),
    Recipe(
        name="primes",
        language="C",
        sources=("primes/primes.c",),
        entry="`count_primes(i32) -> i32`",
        takes="a limit (the default fuel lasts to about 500,000,000)",
        gives="how many primes there are up to it",
        # No libc and no start function: the module imports nothing at all.
        flags=("-O2", "-nostdlib", "-Wl,--no-entry"),
    ),
    _command(
        "primes_command",
        ("primes/primes.c", "primes/main.c"),
        takes="the limit as an argument",
        gives="the same count, in decimal",
    ),
    _command(
        "textstat",
        ("textstat/textstat.c",),
        takes="a text on stdin; how many words to name as an argument (10)",
        gives="lines, words, bytes, distinct words, then the most frequent words with their counts",
    ),
    _command(
        "imagefilter",
        ("imagefilter/imagefilter.c",),
        takes="a binary PGM or PPM image on stdin; `edges` (default), `blur` or `gray` as an argument",
        gives="the filtered image as a PGM",
    ),
    _command(
        "digits",
        ("digits/digits.c",),
        takes="8x8 images of handwritten digits on stdin, 64 bytes (0..16) each",
        gives=(
            "one digit a line; a 64-32-10 network in whole numbers, "
            f"{DIGITS_ACCURACY:.1%} right on 360 images kept out of its training"
        ),
    ),
    _command(
        "hash",
        ("hash/hash.c",),
        takes="any bytes on stdin; `sha256`, `sha512`, `hmac KEY` or `verify PUBLIC_KEY SIGNATURE` as arguments",
        gives="the digest in hexadecimal, or `valid` or `not valid`, from the host calls of `ambient_crypto`",
    ),
    Recipe(
        name="csvsum",
        language="Go",
        sources=("csvsum/main.go",),
        entry="`_start`",
        takes="a CSV with a header on stdin; a column to group by and one to sum as arguments",
        gives="JSON: rows and exact sum of each group, in byte order",
        committed=False,
    ),
)

MISBEHAVING = (
    _misbehaving("loop", _BOTH_WAYS, "never ends"),
    _misbehaving("hog", _BOTH_WAYS, "grows memory until refused, then traps"),
    _misbehaving("trap", _BOTH_WAYS, "traps (`unreachable`)"),
    _misbehaving("divzero", "`_start`, `run() -> i32`", "traps (division by zero)"),
    _misbehaving("recurse", "`_start`, `run() -> i32`", "exhausts the stack"),
    _misbehaving("exit3", "`_start`", "`partial` on stdout, a reason on stderr, exit status 3"),
    _misbehaving("flood", "`_start`", "stdout without end"),
    _misbehaving("stderr_flood", "`_start`", "stderr without end"),
    _misbehaving(
        "opens_file",
        "`_start`",
        "asks for `etc/passwd`, exits with the error number it gets: no file is ever opened",
    ),
    _misbehaving("net", "`_start`", "imports `wasi_snapshot_preview1.sock_accept`: refused at admission"),
    _misbehaving("connect", "`_start`", "imports `env.connect`: refused at admission"),
    _misbehaving("nan", "`_start`, `run() -> f64`", "24 bytes of NaNs, which must be canonical"),
    _misbehaving("clock", "`_start`", "four clock readings as u64, the same on every node"),
    _misbehaving("random", "`_start`", "32 random bytes, the same on every node"),
    _misbehaving(
        "slow",
        "`_start`, `spin(i64) -> i64`",
        "nothing, or the generator's last state",
        takes="a number of iterations",
    ),
)

RECIPES = WELL_BEHAVED + MISBEHAVING
