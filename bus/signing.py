"""Who says it: Ed25519 identities, and signatures over batches of lines.

A signed message is JSON Lines: an envelope line, then the members. The signature is a DSSE one (PAE encoding) whose payload is
the RFC 6962 root over the members' exact bytes. So one signature serves many members, no canonical form of JSON is needed,
and one member can be shown to a third party with a path of a few hashes, without the others.

Left to the callers: whether the key that signed may say what it says.
"""

from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bus import merkle
from bus.disk import write_whole
from bus.ed25519 import fastest_check
from bus.errors import BadSignature, IdentityUnusable, Malformed, reason
from bus.wire import decode, decoder, split_lines

__all__ = [
    "GOODBYE",
    "HELLO",
    "ORDER",
    "RESULTS",
    "TELEMETRY",
    "VERDICTS",
    "Envelope",
    "Identity",
    "open_one_of",
    "open_signed",
    "pae",
    "verify_root",
]


def _payload_type(what: str) -> str:
    return f"application/vnd.ambient.{what}+merkle"


HELLO = _payload_type("hello")
TELEMETRY = _payload_type("telemetry")
GOODBYE = _payload_type("goodbye")
RESULTS = _payload_type("results")
VERDICTS = _payload_type("verdicts")
"""Payload types: they are signed too, so that a result can never be passed off as a verdict."""
ORDER = "application/vnd.ambient.order"
"""The payload type of an operator's order to the ledger: its bytes are signed as they are, one by one."""


class Envelope(msgspec.Struct, frozen=True, rename={"payload_type": "payloadType"}):
    """The first line of a signed message: DSSE's fields, with the key itself (32 bytes, hex) as key id."""

    payload_type: Annotated[str, msgspec.Meta(max_length=256)]
    # One spelling per key: `keyid` is compared as text, and upper case or blanks would be other names of the same key.
    keyid: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    sig: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{86}==(?!\n)$", description="64 bytes in base64")
    ]


_check = fastest_check()
_ENVELOPE = decoder(Envelope)
_ENCODE = msgspec.json.Encoder().encode


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: both parts with their lengths, so that no two pairs collide."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class Identity:
    """An Ed25519 key pair. `key` is the public half in hex."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = private.public_key().public_bytes_raw().hex()

    @classmethod
    def generate(cls) -> "Identity":
        """A new identity that lives as long as the object."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "Identity":
        """The identity of a 32-byte seed; for tests and tools that need the same one twice."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path) -> "Identity":
        """The identity kept at `path`, made and kept there (mode 0600) the first time.

        Raises `IdentityUnusable`, also for a file that others may read: whoever has read it can answer in this name.
        """
        try:
            seed = path.read_bytes()
            mode = path.stat().st_mode
        except FileNotFoundError:
            return cls._create(path)
        except OSError as error:
            raise IdentityUnusable(
                f"the identity {path} cannot be read ({error.strerror}): it must be a file of your own"
            ) from None
        if mode & 0o077:
            raise IdentityUnusable(
                f"{path} can be read by others: run `chmod 600 {path}`, or delete it for a new identity"
            )
        if len(seed) != 32:  # noqa: PLR2004 -- an Ed25519 seed, RFC 8032
            raise IdentityUnusable(
                f"{path} holds no identity (32 bytes): restore it from a backup, or delete it for a new one"
            )
        return cls.from_seed(seed)

    @classmethod
    def keep(cls, path: Path, seed: bytes) -> "Identity":
        """The identity kept at `path`; where none is there, that of `seed` is from now on. Raises as `load` does."""
        return cls.load(path) if path.exists() else cls._create(path, cls.from_seed(seed))

    @classmethod
    def _create(cls, path: Path, identity: "Identity | None" = None) -> "Identity":
        identity = identity or cls.generate()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, identity._private.private_bytes_raw(), once=True)  # noqa: SLF001 -- its own private half
        except FileExistsError:
            return cls.load(path)
        except OSError as error:
            raise IdentityUnusable(
                f"no identity can be kept at {path} ({reason(error)}): choose a folder of your own on a local disk"
            ) from None
        return identity

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """The raw signature (64 bytes) over DSSE's encoding of `payload`."""
        return self._private.sign(pae(payload_type, payload))

    def sign_raw(self, message: bytes) -> bytes:
        """The raw signature (64 bytes) over `message` itself, for formats that keep kinds of messages apart in ways of their own."""
        return self._private.sign(message)

    def seal(self, payload_type: str, members: Sequence[bytes]) -> bytes:
        """The body of a signed message with these members (JSON lines without line breaks)."""
        signature = self.sign(payload_type, merkle.root(members))
        envelope = Envelope(payload_type, self.key, b64encode(signature).decode())
        return b"\n".join((_ENCODE(envelope), *members))

    def __repr__(self) -> str:
        """The public half, shortened."""
        return f"Identity({self.key[:16]}…)"


def verify_root(envelope: Envelope, root: bytes) -> None:
    """Raise `BadSignature` unless `envelope` holds a signature of its key over `root`."""
    try:
        key, signature = bytes.fromhex(envelope.keyid), b64decode(envelope.sig, validate=True)
    except ValueError:
        key, signature = b"", b""
    if not _check(key, signature, pae(envelope.payload_type, root)):
        raise BadSignature(f"the signature of key {envelope.keyid[:16]}… does not hold for this message")


def open_signed(body: bytes, payload_type: str, *, key: str | None = None) -> tuple[str, list[bytes]]:
    """The signer's key (hex) and the members of a signed message of this type.

    Raises `BadSignature` if the signature does not hold, is of another type, or is not by `key` where that is given;
    `Malformed` if the body is no signed message at all.
    """
    _, signer, members = open_one_of(body, (payload_type,), key=key)
    return signer, members


def open_one_of(
    body: bytes, payload_types: Collection[str], *, key: str | None = None
) -> tuple[str, str, list[bytes]]:
    """Like `open_signed`, where messages of several types come by the same way: type, key (hex) and members."""
    lines = split_lines(body)
    envelope, members = decode(lines[0], _ENVELOPE), lines[1:]
    if not members:
        raise Malformed("", "a signed message has at least one member after its envelope")
    if envelope.payload_type not in payload_types:
        raise BadSignature(f"signed as {envelope.payload_type!r}, not as {' or '.join(payload_types)}")
    if key is not None and envelope.keyid != key:
        raise BadSignature(f"signed by {envelope.keyid[:16]}…, not by {key[:16]}…")
    verify_root(envelope, merkle.root(members))
    return envelope.payload_type, envelope.keyid, members
