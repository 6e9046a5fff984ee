"""The file that a receipt is: its sections, one after the other, compressed, under a check sum.

Guarantees that two different files never read as the same receipt, and that reading one costs bounded memory. What the sections say is not
looked at here beyond their form; `anchor.receipt.check` does that. Layout: RECEIPT.md.
"""

import zlib
from hashlib import sha256
from typing import NamedTuple

from anchor.receipt.dictionary import DICTIONARY
from anchor.receipt.errors import Malformed
from anchor.receipt.note import Key, read_key
from anchor.receipt.proof import LogProof, read_proof, write_proof
from anchor.receipt.published import Published, read_published, write_published
from anchor.receipt.statement import Statement, read_statement, write_statement
from anchor.receipt.text import decimal, lines_of, text_of

__all__ = ["MAX_RECEIPT_BYTES", "Receipt", "read_receipt", "write_receipt"]

_MAGIC = b"ambient-receipt@v1\n"
_SUM_BYTES = 8
"""A check sum against accidents; against forgers there are the signatures inside."""
MAX_RECEIPT_BYTES = 16 * 1024 * 1024
"""What a receipt may unfold to: a verdict and the results of 31 nodes are below it. It bounds a reader's memory."""
_MOST_EVIDENCE = 64
_MOST_KEYS = 64


class Receipt(NamedTuple):
    """A verdict, the proof that it is in the log, the keys that signed the log's checkpoint (the log's own first), and what else there is."""

    verdict: Statement
    keys: tuple[Key, ...]
    proof: LogProof
    bitcoin: Published | None = None
    evidence: tuple[Statement, ...] = ()


def write_receipt(receipt: Receipt) -> bytes:
    """The file; `read_receipt` undoes it."""
    sections = [
        ("verdict", write_statement(receipt.verdict)),
        ("keys", "".join(f"{key}\n" for key in receipt.keys).encode()),
        ("proof", write_proof(receipt.proof)),
    ]
    if receipt.bitcoin is not None:
        sections.append(("bitcoin", write_published(receipt.bitcoin)))
    sections.extend(("evidence", write_statement(each)) for each in receipt.evidence)
    deflate = zlib.compressobj(9, zdict=DICTIONARY)
    unpacked = b"".join(b"%s %d\n%s" % (name.encode(), len(body), body) for name, body in sections)
    packed = deflate.compress(unpacked) + deflate.flush()
    return _MAGIC + sha256(packed).digest()[:_SUM_BYTES] + packed


def read_receipt(data: bytes) -> Receipt:
    """The receipt in a file. Raises `Malformed`; nothing is verified."""
    head = len(_MAGIC) + _SUM_BYTES
    if not data.startswith(_MAGIC):
        raise Malformed("file", "is no receipt of this version: it must begin with 'ambient-receipt@v1'")
    if sha256(data[head:]).digest()[:_SUM_BYTES] != data[len(_MAGIC) : head]:
        raise Malformed("file", "was damaged: its check sum does not hold; get it anew")
    sections = _sections(_unpacked(data[head:]))
    names = [name for name, _ in sections]
    if names[:3] != ["verdict", "keys", "proof"] or names[3:] not in (
        [*bitcoin, *(["evidence"] * (len(names) - 3 - len(bitcoin)))] for bitcoin in ([], ["bitcoin"])
    ):
        raise Malformed(
            "file", "must have the sections verdict, keys, proof, then bitcoin if any, then evidence if any"
        )
    rest = sections[3:]
    bitcoin = read_published(rest.pop(0)[1]) if rest and rest[0][0] == "bitcoin" else None
    if len(rest) > _MOST_EVIDENCE:
        raise Malformed("evidence", f"is of at most {_MOST_EVIDENCE} nodes, this of {len(rest)}")
    return Receipt(
        verdict=read_statement("verdict", sections[0][1]),
        keys=_keys(sections[1][1]),
        proof=read_proof(sections[2][1]),
        bitcoin=bitcoin,
        evidence=tuple(read_statement(f"evidence[{at}]", body) for at, (_, body) in enumerate(rest)),
    )


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


def _sections(data: bytes) -> list[tuple[str, bytes]]:
    """Name and content, as they follow each other: a line with the name and the content's length in bytes, then the content."""
    found: list[tuple[str, bytes]] = []
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


def _keys(data: bytes) -> tuple[Key, ...]:
    lines = lines_of("keys", text_of("keys", data))
    if not 1 <= len(lines) <= _MOST_KEYS or len(set(lines)) != len(lines):
        raise Malformed("keys", f"are 1 to {_MOST_KEYS} different vkeys")
    return tuple(read_key(line, f"keys[{at}]") for at, line in enumerate(lines))
