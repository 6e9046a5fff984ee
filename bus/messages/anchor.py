"""The lines of ANCHORS that are about the log of verdicts, and the questions about receipts.

`Leader` opens a leadership in ANCHORS, as in the other logs with one writer.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "CheckpointReply",
    "CheckpointRequest",
    "CosignReply",
    "CosignRequest",
    "Opened",
    "ReceiptReply",
    "ReceiptRequest",
    "Signed",
    "Unlogged",
]

_U63 = 2**63 - 1
_Count = Annotated[int, Meta(ge=0, le=_U63)]
_Note = Annotated[str, Meta(max_length=16 * 1024)]


class Opened(Struct, frozen=True, kw_only=True, tag="opened", tag_field="kind"):
    """The first line about a log: its origin, its key (a C2SP `vkey`), and the sequence in VERDICTS with which it begins.

    Origin, key and beginning never change: whoever finds others here keeps its hands off the log.
    """

    origin: Annotated[str, Meta(min_length=1, max_length=255)]
    key: Annotated[str, Meta(max_length=512)]
    begins: _Count


class Signed(Struct, frozen=True, kw_only=True, tag="signed", tag_field="kind"):
    """A checkpoint of the log: `size` leaves, those of VERDICTS up to the sequence `verdicts`; `note` is the C2SP signed note.

    Nobody is shown a note before this line is durable. A later line of the same size has the same text under more signatures.
    """

    size: _Count
    verdicts: _Count
    note: _Note


class Unlogged(Struct, frozen=True, kw_only=True, tag="unlogged", tag_field="kind", omit_defaults=True):
    """What stands at `place` (sequence, line) in VERDICTS is no leaf of the log: `field` says what is wrong, `limit` what is allowed there.

    A second verdict for one task is such a line: the first one stays the only one that has a receipt.
    """

    place: tuple[_Count, _Count]
    field: Annotated[str, Meta(max_length=200)]
    limit: Annotated[str, Meta(max_length=500)]
    task: Annotated[str, Meta(max_length=200)] = ""


class ReceiptRequest(Struct, frozen=True):
    """The receipt of this task (`<client>.<id>`)."""

    task: Annotated[str, Meta(max_length=200)]


class ReceiptReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is for a task: `receipt` is the file without evidence, and `said` why it is not (yet) more.

    `unknown`: no verdict is logged; `logged`: it is, and no checkpoint that covers it may be shown yet; `signed`: one is, and `receipt` is
    there; `final`: it is also published under enough blocks. `more` says whether waiting brings more. `evidence` are the places in RESULTS of
    what the verdict counts.
    """

    state: Literal["unknown", "logged", "signed", "final"]
    said: str = ""
    more: bool = False
    receipt: bytes | None = None
    evidence: tuple[tuple[int, int], ...] = ()


class CheckpointRequest(Struct, frozen=True, kw_only=True):
    """The newest checkpoint that is durable, and the proof that it begins with the tree of `old` leaves."""

    old: _Count = 0


class CheckpointReply(Struct, frozen=True, kw_only=True):
    """The signed note, and the hashes (hex) of RFC 6962's consistency proof from `old` leaves."""

    note: str
    proof: tuple[str, ...] = ()


class CosignRequest(Struct, frozen=True):
    """Signature lines of witnesses (C2SP tlog-cosignature) for the newest checkpoint, each with its line break."""

    lines: _Note


class CosignReply(Struct, frozen=True, kw_only=True):
    """How many cosignatures the checkpoint of `size` leaves has now, and how many it needs before it is shown."""

    size: int
    cosigned: int
    needed: int
