"""NATS' own spelling of Ed25519 keys, and the way in that they open: a server that knows a user's public key needs no password of theirs.

A node's identity is such a key, so a node needs nothing else to be known to the servers. Guarantees that a key is read only if its kind and
check sum are right, and that no error names a seed. Source: the format of github.com/nats-io/nkeys (base32 of a kind, the key and a CRC-16).
"""

import binascii
import os
from base64 import b32decode, b32encode, b64encode
from pathlib import Path

from bus.errors import IdentityUnusable, Malformed
from bus.signing import Identity

__all__ = ["VARIABLE", "answer", "from_environment", "inbox", "public", "read_seed", "seed_text"]

VARIABLE = "NATS_KEY"
"""The environment variable that names the file of a user's key, or holds its text."""
_USER = 20 << 3
_SEED = 18 << 3
_KEY_BYTES = 32


def _spelt(kind: bytes, key: bytes) -> str:
    body = kind + key
    return b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def public(key: str) -> str:
    """A user's public key (64 hex digits) as NATS writes it: `U…`, 56 characters."""
    return _spelt(bytes([_USER]), bytes.fromhex(key))


def seed_text(seed: bytes) -> str:
    """A user's seed (32 bytes) as NATS writes it: `SU…`, 58 characters; `nats --nkey` takes a file with it."""
    return _spelt(bytes([_SEED | _USER >> 5, (_USER & 31) << 3]), seed)


def read_seed(text: str) -> bytes:
    """The seed (32 bytes) that `text` spells. Raises `Malformed`, without the text."""
    word = text.strip()
    try:
        raw = b32decode(word + "=" * (-len(word) % 8))
    except ValueError:
        raw = b""
    seed = raw[2 : 2 + _KEY_BYTES]
    if len(seed) != _KEY_BYTES or seed_text(seed) != word:
        raise Malformed(
            VARIABLE, "must be the seed of a NATS user, SU and 56 more letters, or the path of a file with it"
        )
    return seed


def inbox(key: str) -> str:
    """Where answers to this user go. Of their own, so that nobody else needs the right to listen there."""
    return f"_INBOX.{public(key)}"


def answer(identity: Identity, nonce: str) -> bytes:
    """What proves to a server that sent `nonce` that we have the key."""
    return b64encode(identity.sign_raw(nonce.encode()))


def from_environment() -> Identity | None:
    """The user that `NATS_KEY` names, by a seed or by the path of a file with one (or with an identity's 32 bytes); None where it is not set.

    Raises `Malformed` for what is no key, `IdentityUnusable` for a file that cannot be read, or that others may read.
    """
    told = os.environ.get(VARIABLE, "").strip()
    if not told:
        return None
    if told.startswith("SU") and os.sep not in told:
        return Identity.from_seed(read_seed(told))
    path = Path(told)
    try:
        mode, data = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise IdentityUnusable(f"{VARIABLE} names {path}, which cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise IdentityUnusable(f"{path} can be read by others: run `chmod 600 {path}`")
    return Identity.from_seed(data if len(data) == _KEY_BYTES else read_seed(data.decode(errors="replace")))
