"""Checking Ed25519 signatures (RFC 8032) with the fastest library that is installed.

Guarantees that what is accepted is accepted by every library here: libsodium, where PyNaCl is installed, is the stricter one (it
refuses keys of small order and non-canonical encodings, which no honest signer makes), and OpenSSL is always there. The two
could only differ on what a signer crafted with its own key; then it is not believed by those who run libsodium.
"""

import importlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["Check", "by_libsodium", "by_openssl", "fastest_check"]

type Check = Callable[[bytes, bytes, bytes], bool]
"""Whether (key, 32 bytes; signature, 64 bytes; message) is a valid signature."""

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


def by_openssl(key: bytes, signature: bytes, message: bytes) -> bool:
    """Check with OpenSSL; always there."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def by_libsodium() -> Check | None:
    """A check with libsodium, about twice as fast; None where PyNaCl is not installed."""
    try:
        bindings = importlib.import_module("nacl.bindings")
        errors = importlib.import_module("nacl.exceptions")
    except ImportError:
        return None
    open_signed, bad = bindings.crypto_sign_open, (errors.BadSignatureError, errors.ValueError)

    def check(key: bytes, signature: bytes, message: bytes) -> bool:
        # The binding looks at neither length, and tells the signature from the message by it.
        if len(signature) != _SIGNATURE_BYTES or len(key) != _KEY_BYTES:
            return False
        try:
            open_signed(signature + message, key)
        except bad:
            return False
        return True

    return check


def fastest_check() -> Check:
    """The fastest check that is installed."""
    return by_libsodium() or by_openssl
