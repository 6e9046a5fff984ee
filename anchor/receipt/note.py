"""Signed notes, checkpoints and cosignatures as C2SP defines them: signed-note, tlog-checkpoint and tlog-cosignature (v1, Ed25519).

Guarantees that what is read is read in one way only, and that a signature counts only for the key that is named and for these very bytes.
Which keys are to be trusted is left to whoever asks; signing is `anchor.notes`'.
"""

from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from anchor.receipt.errors import LinkBroken, Malformed
from anchor.receipt.text import LARGEST, base64_of, bytes_of, decimal, hash_of, lines_of, text_of

__all__ = [
    "COSIGNATURE",
    "ED25519",
    "Checkpoint",
    "Key",
    "Note",
    "NoteSignature",
    "check_note",
    "cosigned",
    "is_signed",
    "read_checkpoint",
    "read_key",
    "read_note",
    "write_checkpoint",
    "write_note",
]

ED25519 = 0x01
COSIGNATURE = 0x04
"""Signature types: a plain signature of the note's text, and one with a time, by a witness."""

_DASH = "\u2014 "
_ID_BYTES = 4
_KEY_BYTES = 32
_TIME_BYTES = 8
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 72}
_MOST_SIGNATURES = 64
_MOST_NAME = 255


class Key(NamedTuple):
    """Who signs: a name, one of the types above, and the public key (32 bytes)."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        named = self.name.encode() + b"\n" + bytes((self.kind,)) + self.public
        return sha256(named).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The key as a `vkey`."""
        return f"{self.name}+{self.id.hex()}+{base64_of(bytes((self.kind,)) + self.public)}"


class NoteSignature(NamedTuple):
    """One signature line: the key's name and id, and the bytes behind the id."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """The line, without its line break."""
        return f"{_DASH}{self.name} {base64_of(self.key_id + self.signature)}"


class Note(NamedTuple):
    """A text that ends in a line break, and who signed it, in order."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Checkpoint(NamedTuple):
    """A state of a log: its origin, the number of leaves, and the root over them."""

    origin: str
    size: int
    root: bytes


def read_key(text: str, field: str = "key") -> Key:
    """A `vkey`: name, id and key, joined by `+`. Raises `Malformed` where it is none of a type that is known here."""
    name, _, rest = text.partition("+")
    data = bytes_of(field, rest.partition("+")[2])
    if len(data) != 1 + _KEY_BYTES or data[0] not in _SIGNATURE_BYTES:
        raise Malformed(field, "must be a vkey of an Ed25519 key (type 1) or an Ed25519 cosigner (type 4)")
    key = Key(_name(field, name), data[0], data[1:])
    if str(key) != text:
        raise Malformed(field, "must be a vkey whose id is that of its name and key")
    return key


def _name(field: str, name: str) -> str:
    if not name or len(name) > _MOST_NAME or "+" in name or any(char.isspace() for char in name):
        raise Malformed(
            field, f"a name has 1 to {_MOST_NAME} characters, none of them a space or a plus sign"
        )
    return name


def read_note(data: bytes, field: str = "note") -> Note:
    """A signed note; raises `Malformed`. Nothing is verified."""
    text, separator, signatures = text_of(field, data).rpartition("\n\n")
    lines = lines_of(field, signatures)
    if not separator or not 1 <= len(lines) <= _MOST_SIGNATURES:
        raise Malformed(field, f"must be text, an empty line, and 1 to {_MOST_SIGNATURES} signature lines")
    return Note(
        text + "\n", tuple(_signature(f"{field} signature {at}", line) for at, line in enumerate(lines))
    )


def _signature(field: str, line: str) -> NoteSignature:
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    data = bytes_of(field, blob)
    if not line.startswith(_DASH) or len(data) <= _ID_BYTES:
        raise Malformed(field, "must be an em dash, a space, a key's name, a space, and base64")
    return NoteSignature(_name(field, name), data[:_ID_BYTES], data[_ID_BYTES:])


def write_note(note: Note) -> bytes:
    """Undo `read_note`."""
    return (note.text + "\n" + "".join(f"{each}\n" for each in note.signatures)).encode()


def read_checkpoint(text: str, field: str = "checkpoint") -> Checkpoint:
    """The state that a note's text tells: three lines and no more. Raises `Malformed`."""
    lines = lines_of(field, text)
    if len(lines) != 3:  # noqa: PLR2004 -- tlog-checkpoint's three; extension lines are not ours
        raise Malformed(field, "must have three lines: origin, size and root")
    return Checkpoint(lines[0], decimal(f"{field} size", lines[1]), hash_of(f"{field} root", lines[2]))


def write_checkpoint(checkpoint: Checkpoint) -> str:
    """Undo `read_checkpoint`."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64_of(checkpoint.root)}\n"


def cosigned(time_s: int, text: str) -> bytes:
    """What a witness signs to say that it saw this checkpoint at `time_s` (seconds since 1970): tlog-cosignature."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def is_signed(key: Key, text: str, signature: bytes) -> tuple[bool, int]:
    """Whether `signature` (without the key's id) is one of `key` over `text`, and the time in it (0 for a plain one)."""
    message, time_s = text.encode(), 0
    if len(signature) != _SIGNATURE_BYTES[key.kind]:
        return False, 0
    if key.kind == COSIGNATURE:
        time_s, signature = int.from_bytes(signature[:_TIME_BYTES], "big"), signature[_TIME_BYTES:]
        message = cosigned(time_s, text)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False, 0
    return time_s <= LARGEST, time_s


def check_note(note: Note, keys: list[Key]) -> dict[Key, int]:
    """The keys among `keys` that signed, with the time that each says; signatures of others are passed over, as C2SP demands.

    Raises `LinkBroken` where a signature is named as one of `keys` and does not hold: then somebody tampered with the note.
    """
    known = {(key.name, key.id): key for key in keys}
    signed: dict[Key, int] = {}
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is None:
            continue
        holds, time_s = is_signed(key, note.text, each.signature)
        if not holds:
            raise LinkBroken(f"signature of {key.name}", "it is not one of that key over this checkpoint")
        signed[key] = time_s
    return signed
