"""Numbers between tasks and exported functions: checked on the way in, canonical text on the way out.

Integers are exact. An `i32` takes -2**31 … 2**32-1 and an `i64` -2**63 … 2**64-1 (the upper half is the unsigned
reading of the same bits); results are printed signed. Floats print as the shortest text that reads back the same.
"""

import contextlib
import json
import math
import struct
from collections.abc import Sequence
from typing import Final

from sandbox.errors import UnfitModule

Number = int | float

NUMBER_TYPES: Final = ("i32", "i64", "f32", "f64")
NUMBER_TEXT_MAX: Final = 400
"""Longest text of a number that is read: a double's full decimal form has about 330 digits before the point."""
_BITS: Final = {"i32": 32, "i64": 64}
# One 16-byte cell per value, as the engine's `wasmtime_val_raw_t` lays it out (little-endian in memory).
_CELL: Final = {"i32": "i12x", "i64": "q8x", "f32": "f12x", "f64": "d8x"}


def cells(types: Sequence[str]) -> struct.Struct:
    """The memory layout of a list of values, one 16-byte cell each."""
    return struct.Struct("<" + "".join(_CELL[t] for t in types))


def parse_arguments(types: Sequence[str], args: Sequence[str | Number]) -> list[Number]:
    """Arguments as numbers of the given types, integers already signed.

    Raises:
        UnfitModule: field `args`; wrong count, not a number, or out of range.
    """
    if len(args) != len(types):
        raise UnfitModule(
            "args", f"the function takes {len(types)} arguments ({', '.join(types)}), {len(args)} given"
        )
    return [
        _integer(value, kind, place) if kind in _BITS else _float(value, kind, place)
        for place, (value, kind) in enumerate(zip(args, types, strict=True), 1)
    ]


def _integer(value: str | Number, kind: str, place: int) -> int:
    bits = _BITS[kind]
    number: object = value
    if isinstance(value, str) and len(value) <= NUMBER_TEXT_MAX:
        with contextlib.suppress(ValueError):
            number = int(value)
    if not isinstance(number, int) or isinstance(number, bool):
        raise UnfitModule("args", f"argument {place} must be an {kind} integer, not {str(value)[:40]!r}")
    if not -(1 << (bits - 1)) <= number < 1 << bits:
        raise UnfitModule("args", f"argument {place} does not fit in {kind} (-2**{bits - 1} to 2**{bits}-1)")
    return number - (1 << bits) if number >= 1 << (bits - 1) else number


def _float(value: str | Number, kind: str, place: int) -> float:
    if isinstance(value, str) and len(value) > NUMBER_TEXT_MAX:
        raise UnfitModule(
            "args", f"argument {place} must be an {kind} number of at most {NUMBER_TEXT_MAX} characters"
        )
    try:
        number = float(value)
        if kind == "f32":
            struct.pack("<f", number)
    except (ValueError, OverflowError):
        raise UnfitModule(
            "args", f"argument {place} must be an {kind} number, not {str(value)[:40]!r}"
        ) from None
    return number


def render_results(types: Sequence[str], values: Sequence[Number]) -> bytes:
    """A function's results as its canonical output.

    One result is its decimal text, several are a JSON list, none is empty. Values that JSON has no number for
    (`nan`, `inf`, `-inf`) are strings within a list.
    """
    texts = [_text(kind, value) for kind, value in zip(types, values, strict=True)]
    if len(texts) == 1:
        return texts[0].encode()
    if not texts:
        return b""
    return ("[" + ", ".join(t if t[-1].isdigit() else json.dumps(t) for t in texts) + "]").encode()


def _text(kind: str, value: Number) -> str:
    if kind in _BITS:
        return str(value)
    if kind == "f64" or not math.isfinite(value):
        return repr(float(value))
    bits = struct.pack("<f", value)
    for digits in range(1, 9):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= _F32_MAX and struct.pack("<f", short) == bits:
            return repr(short)
    return repr(float(f"{value:.9g}"))


_F32_MAX: Final = 3.4028234663852886e38
