"""The file that any receipt is: its sections, one after the other, compressed, under a check sum.

Guarantees that two different files never read as the same sections, and that reading one costs bounded memory. What the sections say is
for others. Layout: RECEIPT.md.
"""

import zlib
from collections.abc import Sequence
from hashlib import sha256

from anchor.receipt.dictionary import DICTIONARY
from anchor.receipt.errors import Malformed
from anchor.receipt.text import decimal, text_of

__all__ = ["MAX_RECEIPT_BYTES", "Section", "read_sections", "write_sections"]

type Section = tuple[str, bytes]
"""Name and content."""

_MAGIC = b"ambient-receipt@v1\n"
_SUM_BYTES = 8
"""A check sum against accidents; against forgers there are the signatures inside."""
MAX_RECEIPT_BYTES = 16 * 1024 * 1024
"""What a receipt may unfold to: a verdict and the results of 31 nodes are below it. It bounds a reader's memory."""


def write_sections(sections: Sequence[Section]) -> bytes:
    """The file; `read_sections` undoes it."""
    deflate = zlib.compressobj(9, zdict=DICTIONARY)
    unpacked = b"".join(b"%s %d\n%s" % (name.encode(), len(body), body) for name, body in sections)
    packed = deflate.compress(unpacked) + deflate.flush()
    return _MAGIC + sha256(packed).digest()[:_SUM_BYTES] + packed


def read_sections(data: bytes) -> list[Section]:
    """The sections in a file, in their order. Raises `Malformed`."""
    head = len(_MAGIC) + _SUM_BYTES
    if not data.startswith(_MAGIC):
        raise Malformed("file", "is no receipt of this version: it must begin with 'ambient-receipt@v1'")
    if sha256(data[head:]).digest()[:_SUM_BYTES] != data[len(_MAGIC) : head]:
        raise Malformed("file", "was damaged: its check sum does not hold; get it anew")
    return _sections(_unpacked(data[head:]))


def _unpacked(packed: bytes) -> bytes:
    inflate = zlib.decompressobj(zdict=DICTIONARY)
    try:
        data = inflate.decompress(packed, MAX_RECEIPT_BYTES)
    except zlib.error as error:
        raise Malformed("file", f"cannot be unpacked ({error})") from None
    if not inflate.eof or inflate.unused_data:
        raise Malformed(
            "file", f"unfolds to more than {MAX_RECEIPT_BYTES} bytes, ends early, or goes on behind its end"
        )
    return data


def _sections(data: bytes) -> list[Section]:
    """Name and content, as they follow each other: a line with the name and the content's length in bytes, then the content."""
    found: list[Section] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        name, _, length = text_of("file", data[at : end if end >= 0 else at]).partition(" ")
        size = decimal("length of a section", length)
        at = end + 1 + size
        if at > len(data):
            raise Malformed(name, f"is said to have {size} bytes, and the file ends before")
        found.append((name, data[end + 1 : at]))
    return found
