"""One line that somebody signed, alone or among others: a verdict, or a node's result.

On the bus a signed message is an envelope line and its members; the signature is a DSSE one over the RFC 6962 root of the members. What a
receipt shows is the envelope, one member, and the steps from that member to the root: the others need not be shown.

Guarantees that what is read is read in one way only, and that a signature counts for the very bytes of the member.
"""

import json
import re
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from anchor.receipt.commitment import Step, walk
from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.text import bytes_of, lines_of, steps_of, text_of, write_steps

__all__ = ["RESULTS", "VERDICTS", "Statement", "pae", "read_json", "read_statement", "write_statement"]

VERDICTS = "application/vnd.ambient.verdicts+merkle"
RESULTS = "application/vnd.ambient.results+merkle"
"""What an envelope says that its members are; it is signed, so that a result is never taken for a verdict."""

_KEY = re.compile("[0-9a-f]{64}")
_SIGNATURE_BYTES = 64
_MOST_STEPS = 16
"""A message on the bus has at most 1,000 members."""


class Statement(NamedTuple):
    """The envelope and the member as they stand on the bus, and the member's steps to the root that was signed."""

    envelope: bytes
    member: bytes
    steps: tuple[Step, ...] = ()

    @property
    def leaf(self) -> bytes:
        """Envelope, line break, member: the bytes of a message that holds this member alone, and the leaf of a verdict in the log."""
        return self.envelope + b"\n" + self.member

    def signer(self, payload_type: str, link: str) -> str:
        """The key (64 hex digits) that signed this member as `payload_type`.

        Raises `Malformed` where the envelope is none, `LinkBroken` naming `link` where the signature does not hold.
        """
        envelope = read_json(f"{link} envelope", self.envelope)
        said, key, signature = (str(envelope.get(name, "")) for name in ("payloadType", "keyid", "sig"))
        if said != payload_type:
            raise LinkBroken(link, f"it is signed as {said[:100]!r}, not as {payload_type!r}")
        if not _KEY.fullmatch(key):
            raise Malformed(f"{link} keyid", "must be an Ed25519 key in 64 hex digits, lower case")
        blob = bytes_of(f"{link} sig", signature)
        root = walk(leaf_hash(self.member), self.steps)
        if not _holds(bytes.fromhex(key), blob, pae(payload_type, root)):
            raise LinkBroken(link, f"the signature is not one of key {key[:16]}… over this line")
        return key


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: both parts with their lengths, so that no two pairs collide."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _holds(key: bytes, signature: bytes, message: bytes) -> bool:
    if len(signature) != _SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_json(field: str, line: bytes) -> dict[str, Any]:
    """The JSON object in `line`; raises `Malformed`, also where a name stands in it twice: readers would disagree which one counts."""
    try:
        # Decoded here: `json.loads` would take UTF-16 and UTF-32 for JSON, too.
        found = json.loads(
            line.decode(), object_pairs_hook=lambda pairs: _once(field, pairs), parse_constant=_no_number
        )
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Malformed(field, "must be one JSON object in UTF-8")
    return found


def _once(field: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Malformed(field, "must not hold one name twice")
    return dict(pairs)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def read_statement(field: str, data: bytes) -> Statement:
    """Envelope, member and steps, each on its line. Raises `Malformed`; nothing is verified."""
    envelope, _, rest = data.partition(b"\n")
    member, separator, steps = rest.partition(b"\n")
    if not envelope or not member or not separator:
        raise Malformed(field, "must be an envelope line and a member line, each with a line break")
    found = steps_of(f"{field} steps", lines_of(f"{field} steps", text_of(field, steps)))
    if len(found) > _MOST_STEPS:
        raise Malformed(f"{field} steps", f"are at most {_MOST_STEPS}, these are {len(found)}")
    return Statement(envelope, member, found)


def write_statement(statement: Statement) -> bytes:
    """Undo `read_statement`."""
    return statement.leaf + b"\n" + write_steps(statement.steps).encode()
