"""Signatures are checked alike by every library that may be there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.ed25519 import Check, by_libsodium, by_openssl
from bus.signing import Identity

CHECKS = [
    pytest.param(by_openssl, id="openssl"),
    pytest.param(
        by_libsodium(),
        id="libsodium",
        marks=pytest.mark.skipif(by_libsodium() is None, reason="PyNaCl is not installed"),
    ),
]
SIGNER = Identity.from_seed(bytes(range(32)))
KEY = bytes.fromhex(SIGNER.key)


def signed(message: bytes) -> bytes:
    return SIGNER._private.sign(message)


@pytest.mark.parametrize("check", CHECKS)
@given(message=st.binary(max_size=200))
def test_what_was_signed_holds(check: Check, message: bytes) -> None:
    """Any message, also the empty one."""
    assert check(KEY, signed(message), message)


@pytest.mark.parametrize("check", CHECKS)
@given(bit=st.integers(0, 64 * 8 - 1))
def test_a_changed_bit_of_the_signature_is_seen(check: Check, bit: int) -> None:
    """Every single bit counts."""
    wrong = bytearray(signed(b"message"))
    wrong[bit // 8] ^= 1 << bit % 8

    assert not check(KEY, bytes(wrong), b"message")


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_none(check: Check, length: int) -> None:
    """Also one whose missing bytes the message would supply."""
    whole = signed(b"message") + b"message" * 20

    assert not check(KEY, whole[:length], whole[length:])


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"x", bytes(32)])
def test_a_key_that_is_none_believes_nothing(check: Check, key: bytes) -> None:
    """Of another length, or another key."""
    assert not check(key, signed(b"message"), b"message")
