"""Numbers, base64 and lines, read in exactly one way: what is spelt differently is not what was written.

Guarantees that two different texts never read as the same value, so that no byte of a receipt can be changed unnoticed.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error

from anchor.receipt.commitment import Step
from anchor.receipt.errors import Malformed
from anchor.receipt.merkle import HASH_BYTES

__all__ = [
    "LARGEST",
    "base64_of",
    "bytes_of",
    "decimal",
    "hash_of",
    "lines_of",
    "steps_of",
    "text_of",
    "write_steps",
]

LARGEST = 2**63 - 1
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
_SIDES = {"L": True, "R": False}


def text_of(field: str, data: bytes) -> str:
    """UTF-8 without control characters but line breaks (C2SP signed-note); raises `Malformed`."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Malformed(field, "must be UTF-8") from None
    if any(char < " " and char != "\n" for char in text):
        raise Malformed(field, "must hold no control character but line breaks")
    return text


def lines_of(field: str, text: str) -> list[str]:
    """The lines of a text that ends in a line break, without it; no line is empty."""
    if not text:
        return []
    if not text.endswith("\n"):
        raise Malformed(field, "must end in a line break")
    lines = text[:-1].split("\n")
    if not all(lines):
        raise Malformed(field, "must hold no empty line")
    return lines


def decimal(field: str, text: str) -> int:
    """An ASCII decimal without leading zeros, below 2^63."""
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST:
        raise Malformed(
            field, f"must be a decimal number below 2^63 without leading zeros, not {text[:40]!r}"
        )
    return int(text)


def bytes_of(field: str, text: str) -> bytes:
    """Base64 (RFC 4648, section 4) in its one canonical spelling: padded, and unused bits zero."""
    try:
        data = b64decode(text, validate=True)
    except (Error, ValueError):
        data = b""
    if base64_of(data) != text:
        raise Malformed(field, "must be canonical base64 (RFC 4648, section 4)")
    return data


def base64_of(data: bytes) -> str:
    """Base64 as `bytes_of` reads it."""
    return b64encode(data).decode()


def hash_of(field: str, text: str) -> bytes:
    """32 bytes in base64."""
    data = bytes_of(field, text)
    if len(data) != HASH_BYTES:
        raise Malformed(field, f"must be {HASH_BYTES} bytes in base64, these are {len(data)}")
    return data


def steps_of(field: str, lines: list[str]) -> tuple[Step, ...]:
    """Steps up a tree: `L` or `R` for the sibling's side, a space, and the sibling in base64."""
    return tuple(_step(f"{field}[{at}]", line) for at, line in enumerate(lines))


def _step(field: str, line: str) -> Step:
    side, _, sibling = line.partition(" ")
    if side not in _SIDES:
        raise Malformed(field, "must begin with L or R, the side on which the sibling stands")
    return Step(is_left=_SIDES[side], sibling=hash_of(field, sibling))


def write_steps(steps: tuple[Step, ...]) -> str:
    """Undo `steps_of`, with a line break behind each."""
    return "".join(f"{'L' if step.is_left else 'R'} {base64_of(step.sibling)}\n" for step in steps)
