"""Reading entries of the logs: of each line only what the gateway remembers, as most of them are never looked at.

Guarantees that nothing that stands in a log raises: a line that cannot be read, or is of a kind that this version does not know, is passed over.
Checking signatures is left to who judges (verifier) and to who is shown a receipt: what is read here is shown, and decides nothing.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from bus.errors import Malformed
from bus.messages import (
    Abandoned,
    Assigned,
    Broadcast,
    Built,
    Decision,
    Enrolled,
    Final,
    Leader,
    LedgerState,
    Mined,
    Opened,
    Ordered,
    Refused,
    Reorged,
    Signed,
    Stranded,
    Unlogged,
    VerifyPolicy,
)
from bus.messages.task import Signature
from bus.reader import Entry
from bus.wire import split_documents

__all__ = [
    "AnchorLine",
    "AskedLine",
    "ClaimedLine",
    "InconclusiveLine",
    "LateLine",
    "VerdictLine",
    "anchor_lines",
    "asked_lines",
    "claimed_lines",
    "decision_lines",
    "submission_name",
    "verdict_lines",
]

_ENVELOPE = b'{"payloadType"'


class _Work(Struct, frozen=True):
    module: str = ""
    entry: str = "_start"


class AskedLine(Struct):
    """A submission, as far as a list shows it; also of what is no task and will be refused."""

    id: str | None = None
    work: _Work = _Work()
    priority: int = 4


class _Named(Struct):
    id: str | None = None


class ClaimedLine(Struct):
    """A node's claim, without its output."""

    task: str
    attempt: int
    node: str
    status: str
    decision: int = 0
    reason: str = ""
    wall_ms: float = 0.0
    fuel: int = 0
    energy_j: float = 0.0
    energy_method: str = ""


class VerdictLine(Struct, tag="verdict", tag_field="kind"):
    """A verdict, without its output."""

    task: str
    status: str
    reason: str = ""
    agree: tuple[str, ...] = ()
    dissent: tuple[str, ...] = ()
    faulted: tuple[str, ...] = ()
    evidence: tuple[tuple[int, int], ...] = ()
    verify: VerifyPolicy = Signature()
    fuel: int = 0
    wall_ms: float = 0.0
    energy_j: float = 0.0
    source: tuple[int, int] = (0, 0)


class InconclusiveLine(Struct, tag="inconclusive", tag_field="kind"):
    """More results are needed."""

    task: str
    need: int = 0
    reason: str = ""


class LateLine(Struct, tag="late", tag_field="kind"):
    """A result after the verdict."""

    task: str
    node: str
    agrees: bool = False


type AnchorLine = (
    Leader
    | Opened
    | Signed
    | Unlogged
    | Ordered
    | LedgerState
    | Built
    | Broadcast
    | Mined
    | Reorged
    | Final
    | Stranded
)

_ASKED = msgspec.json.Decoder(AskedLine)
_NAMED = msgspec.json.Decoder(_Named)
_CLAIMED = msgspec.json.Decoder(ClaimedLine)
_DECISION: msgspec.json.Decoder[Decision] = msgspec.json.Decoder(
    Leader | Enrolled | Assigned | Abandoned | Refused
)
_VERDICT: msgspec.json.Decoder[Any] = msgspec.json.Decoder(VerdictLine | InconclusiveLine | LateLine | Leader)
_ANCHOR: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnchorLine.__value__)


def asked_lines(entry: Entry) -> Iterator[tuple[int, bytes, AskedLine | None, bool]]:
    """Line number, bytes, what is read of it (None: nothing), and whether others were submitted with it."""
    try:
        documents = split_documents(entry.body)
    except Malformed:
        return
    together = len(documents) > 1
    for line, document in enumerate(documents):
        yield line, document, _asked(document), together


def submission_name(client: str, given: str | None, source: tuple[int, int], *, together: bool) -> str:
    """`<client>.<id>`; where no id was given, the place in the log stands for it."""
    if given is not None:
        return f"{client}.{given}"
    return f"{client}.{source[0]}-{source[1]}" if together else f"{client}.{source[0]}"


def _asked(document: bytes) -> AskedLine | None:
    try:
        return _ASKED.decode(document)
    except (ValueError, RecursionError):
        try:
            return AskedLine(id=_NAMED.decode(document).id)
        except (ValueError, RecursionError):
            return None


def decision_lines(entry: Entry) -> list[tuple[int, Decision]]:
    """The decisions of an entry of ASSIGNMENTS, with their line numbers."""
    return _read(entry.body, _DECISION)


def claimed_lines(entry: Entry) -> list[tuple[int, ClaimedLine]]:
    """The claims of an entry of RESULTS, with their numbers among the members."""
    return _read(entry.body.partition(b"\n")[2], _CLAIMED)


def verdict_lines(entry: Entry) -> list[tuple[int, Any]]:
    """The lines of an entry of VERDICTS, with their numbers among the members of a signed one."""
    body = entry.body
    return _read(body.partition(b"\n")[2] if body.startswith(_ENVELOPE) else body, _VERDICT)


def anchor_lines(entry: Entry) -> list[tuple[int, Any]]:
    """The lines of an entry of ANCHORS."""
    return _read(entry.body, _ANCHOR)


def _read[T](body: bytes, decoder: msgspec.json.Decoder[T]) -> list[tuple[int, T]]:
    try:
        return list(enumerate(decoder.decode_lines(body)))
    except (ValueError, RecursionError):
        return list(_read_each(body, decoder))


def _read_each[T](body: bytes, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[int, T]]:
    for number, line in enumerate(body.split(b"\n")):
        try:
            yield number, decoder.decode(line)
        except (ValueError, RecursionError):
            continue
