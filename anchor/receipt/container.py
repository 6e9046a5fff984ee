"""The receipt of a verdict as a file.

Guarantees that two different files never read as the same receipt. What the sections say is not looked at here beyond their form;
`anchor.receipt.check` does that. Layout: RECEIPT.md.
"""

from typing import NamedTuple

from anchor.receipt.errors import Malformed
from anchor.receipt.file import MAX_RECEIPT_BYTES, Section, read_sections, write_sections
from anchor.receipt.note import Key, read_key
from anchor.receipt.proof import LogProof, read_proof, write_proof
from anchor.receipt.published import Published, read_published, write_published
from anchor.receipt.statement import Statement, read_statement, write_statement
from anchor.receipt.text import lines_of, text_of

__all__ = ["MAX_RECEIPT_BYTES", "Receipt", "of_sections", "read_keys", "read_receipt", "write_receipt"]

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
    return write_sections(sections)


def read_receipt(data: bytes) -> Receipt:
    """The receipt in a file. Raises `Malformed`; nothing is verified."""
    return of_sections(read_sections(data))


def of_sections(sections: list[Section]) -> Receipt:
    """The receipt that these sections are. Raises `Malformed`; nothing is verified."""
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
        keys=read_keys(sections[1][1]),
        proof=read_proof(sections[2][1]),
        bitcoin=bitcoin,
        evidence=tuple(read_statement(f"evidence[{at}]", body) for at, (_, body) in enumerate(rest)),
    )


def read_keys(data: bytes) -> tuple[Key, ...]:
    """Vkeys, one a line. Raises `Malformed`."""
    lines = lines_of("keys", text_of("keys", data))
    if not 1 <= len(lines) <= _MOST_KEYS or len(set(lines)) != len(lines):
        raise Malformed("keys", f"are 1 to {_MOST_KEYS} different vkeys")
    return tuple(read_key(line, f"keys[{at}]") for at, line in enumerate(lines))
