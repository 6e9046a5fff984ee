"""Checking what is said of one account, or of one node's month, against a root. The standard library and nothing else.

Guarantees that for one root at most one thing can be shown of an account: one leaf, or that there is none. `check` says what was
proven and under which commitment, or raises `ProofBroken` naming the link that does not hold. What a commitment is worth (who signed
it, since when it stands in which chain) is for whoever holds its receipt.

The tree is a sparse Merkle tree over 256-bit keys with SHA-256. A subtree without leaves is 32 zero bytes, one with a single leaf is
that leaf, at whatever height: so a path is about as long as the logarithm of the number of leaves.

    key    = SHA-256(name)                          name: `client/ada`, `node/n1`, or `node/n1 2026-07`
    leaf   = SHA-256(0x00 || key || SHA-256(text))  text: the leaf's JSON, byte for byte
    branch = SHA-256(0x01 || left || right)         left: the keys whose next bit is 0, the highest bit first

docs/ledger.md has all of it, with an example that can be checked by hand.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

__all__ = [
    "COMMITMENT_DOMAIN",
    "EMPTY",
    "FORMATS",
    "Neighbour",
    "ProofBroken",
    "Proven",
    "branch_hash",
    "check",
    "commitment",
    "key_of",
    "leaf_hash",
    "pack_path",
    "root_of",
    "spelt",
    "unpack_path",
]

EMPTY = bytes(32)
"""What stands for a subtree without leaves."""

COMMITMENT_DOMAIN = b"ambient ledger state 1\n"
FORMATS = {"ambient-balance/1": "accounts", "ambient-energy/1": "energy"}
"""A proof's format and the tree of the state that it is about."""

_FIELDS = frozenset({"format", "name", "leaf", "neighbour", "path", "state"})
_HASH_BYTES = 32
_KEY_BITS = 256
_MOST_BYTES = 64 * 1024


class ProofBroken(Exception):
    """What is shown does not hold: `link` is the part of the proof that is broken, `why` what is wrong with it."""

    def __init__(self, link: str, why: str) -> None:
        super().__init__(f"{link}: {why}")
        self.link = link
        self.why = why


class Neighbour(NamedTuple):
    """The leaf that stands where another would stand if it were there: its key, and the SHA-256 of its text."""

    key: bytes
    text_digest: bytes

    def said(self) -> dict[str, str]:
        """As it stands in a proof."""
        return {"key": self.key.hex(), "text_digest": self.text_digest.hex()}


class Proven(NamedTuple):
    """What a proof showed.

    `name` and `tree` say of what, `leaf` what the tree holds for it (None: nothing), `state` the line of ANCHORS whose root that tree
    has, and `commitment` the 32 bytes that stand for this line wherever it is anchored.
    """

    tree: str
    name: str
    leaf: dict[str, Any] | None
    state: dict[str, Any]
    commitment: bytes


def key_of(name: str) -> bytes:
    """Where a name stands in its tree, 32 bytes."""
    return sha256(name.encode()).digest()


def leaf_hash(key: bytes, text_digest: bytes) -> bytes:
    """The hash of a leaf with this key; `text_digest` is the SHA-256 of its text."""
    return sha256(b"\x00" + key + text_digest).digest()


def branch_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a subtree with at least two leaves."""
    return sha256(b"\x01" + left + right).digest()


def commitment(state_line: bytes) -> bytes:
    """The 32 bytes by which the exact bytes of a state line are anchored."""
    return sha256(COMMITMENT_DOMAIN + state_line).digest()


def root_of(key: bytes, found: bytes, siblings: Sequence[bytes]) -> bytes:
    """The root that `siblings` (the highest first) lead to from `found`, which stands on the way to `key`."""
    for depth in range(len(siblings) - 1, -1, -1):
        if key[depth >> 3] >> (7 - (depth & 7)) & 1:
            found = branch_hash(siblings[depth], found)
        else:
            found = branch_hash(found, siblings[depth])
    return found


def pack_path(siblings: Sequence[bytes]) -> str:
    """Siblings as text: two bytes with their number, a bit for each that is not empty, those that are not; all in base64."""
    bits = bytearray((len(siblings) + 7) // 8)
    for at, sibling in enumerate(siblings):
        if sibling != EMPTY:
            bits[at >> 3] |= 0x80 >> (at & 7)
    full = b"".join(each for each in siblings if each != EMPTY)
    return b64encode(len(siblings).to_bytes(2) + bits + full).decode()


def unpack_path(text: str) -> list[bytes]:
    """Undo `pack_path`. Raises `ProofBroken` for all that it does not make, so that a path has one spelling."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofBroken("path", "is not base64") from None
    count = int.from_bytes(data[:2])
    bits, rest = data[2 : 2 + (count + 7) // 8], data[2 + (count + 7) // 8 :]
    if count > _KEY_BITS or len(bits) != (count + 7) // 8:
        raise ProofBroken("path", f"must hold at most {_KEY_BITS} siblings and a bit for each")
    siblings, at = [], 0
    for index in range(count):
        full = bits[index >> 3] >> (7 - (index & 7)) & 1
        siblings.append(rest[at : at + _HASH_BYTES] if full else EMPTY)
        at += _HASH_BYTES * full
    if at != len(rest) or pack_path(siblings) != text:
        raise ProofBroken("path", "must hold 32 bytes for each sibling whose bit is set, and no more")
    return siblings


def spelt(said: Mapping[str, Any]) -> bytes:
    """A proof as a file: JSON, a field a line. There is one spelling, so that no bit of a file can change unnoticed."""
    return json.dumps(said, indent=1).encode() + b"\n"


def check(document: bytes, *, committed: bytes | None = None) -> Proven:
    """What `document` proves. With `committed`, its state must be the one with that commitment.

    Raises `ProofBroken`: `format`, `name`, `leaf`, `neighbour` and `path` are the proof's own parts, `root` says that they do not lead
    to the root in the state, `state` that this is no state line or not the one that is committed to.
    """
    said = _object(document, "format", "the document")
    if document != spelt(said):
        raise ProofBroken("format", "the document must be spelt as `ledger.proof.spelt` does, byte for byte")
    tree = FORMATS.get(_text(said, "format"))
    if tree is None or not _FIELDS.issuperset(said):
        raise ProofBroken(
            "format", f"must be one of {', '.join(FORMATS)}, with the fields {', '.join(_FIELDS)}"
        )
    line = _text(said, "state").encode()
    state = _object(line, "state", "the state line")
    if state.get("kind") != "ledger":
        raise ProofBroken("state", "must be a line of ANCHORS of the kind `ledger`")
    if committed is not None and commitment(line) != committed:
        raise ProofBroken("state", "is not the one that was committed to")
    name = _text(said, "name")
    leaf = _shown(said, name, tree, state)
    return Proven(tree, name, leaf, state, commitment(line))


def _shown(said: dict[str, Any], name: str, tree: str, state: dict[str, Any]) -> dict[str, Any] | None:
    """What stands under `name`, once it is sure that the tree with the state's root holds it there."""
    key, siblings = key_of(name), unpack_path(_text(said, "path"))
    leaf = None
    if "leaf" in said and "neighbour" in said:
        raise ProofBroken("neighbour", "must not be given with a leaf")
    if "leaf" in said:
        text = _text(said, "leaf").encode()
        leaf = _object(text, "leaf", "the leaf")
        if _name_in(leaf) != name:
            raise ProofBroken("leaf", f"is of {_name_in(leaf)!r}, not of {name!r}")
        found = leaf_hash(key, sha256(text).digest())
    elif "neighbour" in said:
        found = _neighbour(said["neighbour"], key, len(siblings))
    else:
        found = EMPTY
    if root_of(key, found, siblings).hex() != state.get(f"{tree}_root"):
        raise ProofBroken("root", f"leaf and path do not lead to the state's {tree}_root")
    return leaf


def _neighbour(said: Any, key: bytes, depth: int) -> bytes:
    """The hash of the leaf that stands in the place of `key`."""
    try:
        other = Neighbour(bytes.fromhex(said["key"]), bytes.fromhex(said["text_digest"]))
    except (TypeError, KeyError, ValueError):
        raise ProofBroken("neighbour", "must have `key` and `text_digest`, 64 hex digits each") from None
    if said != other.said() or len(other.key) != _HASH_BYTES or len(other.text_digest) != _HASH_BYTES:
        raise ProofBroken(
            "neighbour", "must have `key` and `text_digest`, 64 hex digits each, and nothing else"
        )
    if other.key == key:
        raise ProofBroken("neighbour", "must be another leaf than the one that is said not to be there")
    if depth and (int.from_bytes(other.key) ^ int.from_bytes(key)) >> (_KEY_BITS - depth):
        raise ProofBroken("neighbour", "does not stand in this place: its key goes another way")
    return leaf_hash(*other)


def _name_in(leaf: dict[str, Any]) -> str:
    """The name that a leaf gives itself."""
    month = f" {leaf['month']}" if "month" in leaf else ""
    return f"{leaf.get('account')}{month}"


def _object(data: bytes, link: str, what: str) -> dict[str, Any]:
    if len(data) > _MOST_BYTES:
        raise ProofBroken(link, f"{what} has at most {_MOST_BYTES} bytes")
    try:
        said = json.loads(data.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise ProofBroken(link, f"{what} must be one JSON object in UTF-8, with each field once") from None
    if not isinstance(said, dict):
        raise ProofBroken(link, f"{what} must be a JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose fields are all different: of two, readers would take different ones."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("a field is given twice")
    return said


def _text(said: dict[str, Any], field: str) -> str:
    found = said.get(field)
    if not isinstance(found, str) or not found.isascii():
        raise ProofBroken(field, "is required, as text in ASCII")
    return found
