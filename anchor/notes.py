"""Signing the log's checkpoints, and a witness' cosignature, as C2SP notes. Reading and checking them is `anchor.receipt.note`'s.

Guarantees that the same state gets the same bytes: Ed25519 is deterministic. Whether a state may be signed at all is the log's own
question (`anchor.core`).
"""

from anchor.receipt.account_check import state_text
from anchor.receipt.note import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Key,
    Note,
    NoteSignature,
    cosigned,
    write_checkpoint,
)
from bus.signing import Identity

__all__ = ["cosign", "key_of", "sign", "sign_state"]


def key_of(identity: Identity, name: str, *, cosigner: bool = False) -> Key:
    """The key under which `identity` signs notes as `name`."""
    return Key(name, COSIGNATURE if cosigner else ED25519, bytes.fromhex(identity.key))


def sign(identity: Identity, checkpoint: Checkpoint) -> Note:
    """The log's own note of this state; its key is named as the origin is."""
    text = write_checkpoint(checkpoint)
    key = key_of(identity, checkpoint.origin)
    return Note(text, (NoteSignature(key.name, key.id, identity.sign_raw(text.encode())),))


def sign_state(identity: Identity, origin: str, line: bytes) -> Note:
    """The log's note of a state of the ledger: of the exact bytes of its line in ANCHORS, where it is durable."""
    text, key = state_text(line), key_of(identity, origin)
    return Note(text, (NoteSignature(key.name, key.id, identity.sign_raw(text.encode())),))


def cosign(identity: Identity, name: str, note: Note, time_s: int) -> NoteSignature:
    """A witness' cosignature of the note's text, at `time_s` (seconds since 1970)."""
    key = key_of(identity, name, cosigner=True)
    signature = time_s.to_bytes(8, "big") + identity.sign_raw(cosigned(time_s, note.text))
    return NoteSignature(name, key.id, signature)
