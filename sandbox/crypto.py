"""`ambient_crypto`: hashes, HMAC and signature verification as host calls, many times faster than in a guest.

Guarantees: pure functions of the guest's bytes; pointers are checked as everywhere (EFAULT); work is charged as
fuel by length. There is no key generation and no signing: a guest has no secrets to keep. The ABI is in HOST.md.
"""

import hashlib
import hmac
from functools import cache
from typing import Any, Final

from sandbox.abi import CRYPTO, E2BIG, SUCCESS, VERIFY_FUEL, VERIFY_MESSAGE_MAX
from sandbox.host import Call, Host

VALID: Final = 0
NOT_VALID: Final = 1_000
"""Not an errno, so that a guest can tell a bad signature from a bad call."""
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


def _hash(name: str) -> Call:
    def call(host: Host, data: int, size: int, out: int) -> int:
        taken = host.view(data, size)
        digest = hashlib.new(name, taken).digest()
        host.moved(taken)
        host.write(out, digest)
        host.note(digest)
        return SUCCESS

    return call


def hmac_sha256(host: Host, key: int, key_size: int, data: int, size: int, out: int) -> int:  # noqa: PLR0917 - the ABI
    """HMAC-SHA-256 (RFC 2104); 32 bytes to `out`."""
    # A key over one block is hashed first (RFC 2104, section 2): done here, so that a long one is not copied.
    key_bytes = host.view(key, key_size)
    taken = host.view(data, size)
    short = hashlib.sha256(key_bytes).digest() if key_size > hashlib.sha256().block_size else bytes(key_bytes)
    mac = hmac.new(short, taken, "sha256").digest()
    host.moved(key_bytes)
    host.moved(taken)
    host.write(out, mac)
    host.note(mac)
    return SUCCESS


@cache
def _ed25519() -> tuple[Any, type[Exception]]:
    # Loaded when first needed: the library takes 50 ms and 10 MB, which most guests never use.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    return Ed25519PublicKey, InvalidSignature


def ed25519_verify(host: Host, public_key: int, data: int, size: int, signature: int) -> int:
    """RFC 8032 verification: 0 valid, 1000 not valid."""
    if size > VERIFY_MESSAGE_MAX:
        return E2BIG
    key = host.read(public_key, PUBLIC_KEY_BYTES)
    message = host.read(data, size)
    signed = host.read(signature, SIGNATURE_BYTES)
    for each in (key, message, signed):
        host.moved(each)
    host.owed += VERIFY_FUEL
    key_type, invalid = _ed25519()
    try:
        key_type.from_public_bytes(key).verify(signed, message)
    except (invalid, ValueError):
        return NOT_VALID
    return VALID


CALLS: Final[dict[str, Call]] = {
    "sha256": _hash("sha256"),
    "sha512": _hash("sha512"),
    "hmac_sha256": hmac_sha256,
    "ed25519_verify": ed25519_verify,
}


def define(host: Host) -> None:
    """Offer `ambient_crypto` to the host's modules."""
    for name, call in CALLS.items():
        host.define(CRYPTO, name, call)
