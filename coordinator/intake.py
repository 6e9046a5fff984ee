"""Reading TASKS: an entry becomes submissions, cancels and refusals, whatever its bytes.

Guarantees that every line of an entry yields exactly one of these, that nothing a client writes raises, and that a refusal names
field and limit. Whether a submission may run is `admission`'s question; whether it is new is `ledger`'s.
"""

import hashlib
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from bus.errors import Malformed
from bus.messages import CancelRequest, Refused, TaskSpec
from bus.reader import Entry
from bus.subjects import TOKEN_PATTERN, token
from bus.wire import decode, decoder, split_documents
from coordinator.tasks import Source, Submission

__all__ = ["Cancel", "Item", "read_entry", "submission_name"]

_SPEC = decoder(TaskSpec)
_CANCEL = decoder(CancelRequest)


class _Named(msgspec.Struct):
    id: Annotated[str, Meta(pattern=TOKEN_PATTERN)] | None = None


_NAMED = decoder(_Named)


class Cancel(NamedTuple):
    """A client withdraws the task of this name that it submitted before `sequence`."""

    name: str
    sequence: int


Item = Submission | Cancel | Refused


def read_entry(entry: Entry) -> list[Item]:
    """Everything that an entry of TASKS asks for, in order."""
    verb, client = entry.subject.rsplit(".", 2)[1:]
    try:
        token("client", client)
        documents = split_documents(entry.body)
    except Malformed as error:
        return [_refusal(client, (entry.sequence, 0), error, path=entry.path)]
    read = _read_cancel if verb == "cancel" else _read_submission
    together = len(documents) > 1
    return [read(client, entry, line, document, together=together) for line, document in enumerate(documents)]


def submission_name(client: str, given: str | None, source: Source, *, together: bool) -> str:
    """`<client>.<id>`; where no id was given, the place in the log stands for it."""
    if given is not None:
        return f"{client}.{given}"
    return f"{client}.{source[0]}-{source[1]}" if together else f"{client}.{source[0]}"


def _read_submission(client: str, entry: Entry, line: int, document: bytes, *, together: bool) -> Item:
    raw = _one_line(document)
    source = (entry.sequence, line)
    try:
        spec = decode(raw, _SPEC)
    except Malformed as error:
        name = submission_name(client, _given_id(raw), source, together=together)
        return _refusal(client, source, error, name, path=entry.path)
    return Submission(
        submission_name(client, spec.id, source, together=together),
        source,
        entry.at_ms,
        raw,
        hashlib.sha256(raw).digest(),
        spec,
        together,
        entry.path,
    )


def _read_cancel(client: str, entry: Entry, line: int, document: bytes, *, together: bool) -> Item:
    del together
    try:
        return Cancel(f"{client}.{decode(document, _CANCEL).id}", entry.sequence)
    except Malformed as error:
        return _refusal(client, (entry.sequence, line), error, path=entry.path)


def _one_line(document: bytes) -> bytes:
    """The document without line breaks, which JSON has only between its tokens: it must travel as one line."""
    stripped = document.strip()
    if b"\n" in stripped or b"\r" in stripped:
        return stripped.replace(b"\r", b" ").replace(b"\n", b" ")
    return stripped


def _given_id(raw: bytes) -> str | None:
    """The id of a submission that is malformed elsewhere, so that its client can ask `why`."""
    try:
        return decode(raw, _NAMED).id
    except Malformed:
        return None


def _refusal(client: str, source: Source, error: Malformed, name: str | None = None, *, path: str) -> Refused:
    limit = error.limit[:2000]
    return Refused(client=client, source=source, field=error.field, limit=limit, task=name, path=path)
