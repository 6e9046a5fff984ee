"""The proof that a leaf is in a log, in one file: C2SP tlog-proof v1.

Guarantees that what is read is read in one way only. Left to others: the leaf, and whose signatures the checkpoint needs.
"""

from typing import NamedTuple

from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.merkle import root_from_path
from anchor.receipt.note import Checkpoint, Note, read_checkpoint, read_note, write_note
from anchor.receipt.text import base64_of, decimal, hash_of, lines_of, text_of

__all__ = ["LogProof", "check_inclusion", "read_proof", "write_proof"]

_FIRST = "c2sp.org/tlog-proof@v1"
_DEEPEST = 63
"""A path in the largest tree: sizes are below 2^63."""


class LogProof(NamedTuple):
    """Which leaf it is (from 0), the path from it to the root (lowest sibling first), and the signed checkpoint with that root."""

    leaf: int
    path: tuple[bytes, ...]
    note: Note

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says; raises `Malformed`."""
        return read_checkpoint(self.note.text)


def read_proof(data: bytes, field: str = "proof") -> LogProof:
    """A tlog-proof without extra data; raises `Malformed`."""
    head, separator, note = data.partition(b"\n\n")
    lines = lines_of(field, text_of(field, head) + "\n")
    if not separator or lines[0] != _FIRST or len(lines) < 2 or not lines[1].startswith("index "):  # noqa: PLR2004
        raise Malformed(field, f"must begin with the lines {_FIRST!r} and 'index N'")
    path = tuple(hash_of(f"{field} path[{at}]", line) for at, line in enumerate(lines[2:]))
    if len(path) > _DEEPEST:
        raise Malformed(f"{field} path", f"has at most {_DEEPEST} hashes, these are {len(path)}")
    return LogProof(decimal(f"{field} index", lines[1].removeprefix("index ")), path, read_note(note, field))


def write_proof(proof: LogProof) -> bytes:
    """Undo `read_proof`."""
    path = "".join(f"{base64_of(each)}\n" for each in proof.path)
    return f"{_FIRST}\nindex {proof.leaf}\n{path}\n".encode() + write_note(proof.note)


def check_inclusion(proof: LogProof, leaf: bytes) -> Checkpoint:
    """The checkpoint whose tree holds the leaf with the hash `leaf`; raises `LinkBroken` where the path leads elsewhere."""
    checkpoint = proof.checkpoint
    root = root_from_path(leaf, proof.leaf, checkpoint.size, proof.path)
    if root != checkpoint.root:
        found = "to no root of a tree of that size" if root is None else f"to {base64_of(root)}"
        raise LinkBroken(
            "inclusion in the log",
            f"the path of leaf {proof.leaf} leads {found}, the checkpoint of size {checkpoint.size} says {base64_of(checkpoint.root)}",
        )
    return checkpoint
