"""What clients asked, read from an entry of TASKS by the rules of docs/wire.md.

Written a second time on purpose: an audit that used the coordinator's reading would repeat its mistakes. Guarantees that whatever
bytes a client wrote, each of its documents yields one item, and nothing raises.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from bus.errors import Malformed
from bus.messages import CancelRequest, TaskSpec
from bus.reader import Entry
from bus.subjects import token
from bus.wire import decode, decoder, split_documents

__all__ = ["Asked", "Unreadable", "Withdrawn", "read"]

_SPEC = decoder(TaskSpec)
_CANCEL = decoder(CancelRequest)
_BREAKS = bytes.maketrans(b"\r\n", b"  ")


class Asked(NamedTuple):
    """A well-formed submission: its full name, what it says, and the SHA-256 (hex) of its line, module and input."""

    name: str
    line: int
    spec: TaskSpec
    digests: tuple[str, str, str]


class Withdrawn(NamedTuple):
    """A well-formed wish to withdraw the task of this name."""

    name: str


class Unreadable(NamedTuple):
    """A document that is no task and no cancel: it must be refused."""

    line: int


def read(entry: Entry) -> Iterator[Asked | Withdrawn | Unreadable]:
    """Everything that an entry of TASKS asks for, in order."""
    verb, client = entry.subject.rsplit(".", 2)[1:]
    try:
        token("client", client)
        documents = split_documents(entry.body)
    except Malformed:
        yield Unreadable(0)
        return
    for line, document in enumerate(documents):
        try:
            if verb == "cancel":
                yield Withdrawn(f"{client}.{decode(document, _CANCEL).id}")
            else:
                yield _asked(client, entry.sequence, line, document, alone=len(documents) == 1)
        except Malformed:
            yield Unreadable(line)


def _asked(client: str, sequence: int, line: int, document: bytes, *, alone: bool) -> Asked:
    # A document over many lines counts as the one line that travels to nodes.
    raw = document.strip().translate(_BREAKS)
    spec = decode(raw, _SPEC)
    own = spec.id or (str(sequence) if alone else f"{sequence}-{line}")
    work = spec.work
    stdin = work.input_blob[7:] if work.input_blob is not None else hashlib.sha256(work.input).hexdigest()
    digests = (hashlib.sha256(raw).hexdigest(), work.module[7:], stdin)
    return Asked(f"{client}.{own}", line, spec, digests)
