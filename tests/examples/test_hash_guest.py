"""The hash guest passes the right bytes to `ambient_crypto` and prints what comes back."""

import hashlib
import hmac

import pytest
import wasmtime
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

I32 = wasmtime.ValType.i32()
NOT_VALID = 1000
EFAULT = 21
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw()
MESSAGES = [b"", b"abc", bytes(range(256)) * 700]


def verify(key: bytes, message: bytes, signature: bytes) -> int:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return NOT_VALID
    return 0


def define_crypto(linker, store):
    """`ambient_crypto` on the standard library, so that only the guest is under test."""

    def host(name, arity, call):
        def with_memory(caller, *arguments):
            memory = caller["memory"]
            return call(
                lambda start, size: bytes(memory.read(caller, start, start + size)),
                lambda start, content: memory.write(caller, content, start),
                *arguments,
            )

        kind = wasmtime.FuncType([I32] * arity, [I32])
        linker.define(
            store, "ambient_crypto", name, wasmtime.Func(store, kind, with_memory, access_caller=True)
        )

    def digest(name):
        def call(read, write, data, size, out):
            write(out, hashlib.new(name, read(data, size)).digest())
            return 0

        return call

    def mac(read, write, *numbers):
        key, key_size, data, size, out = numbers
        write(out, hmac.digest(read(key, key_size), read(data, size), "sha256"))
        return 0

    host("sha256", 3, digest("sha256"))
    host("sha512", 3, digest("sha512"))
    host("hmac_sha256", 5, mac)
    host(
        "ed25519_verify",
        4,
        lambda read, _, key, data, size, sig: verify(read(key, 32), read(data, size), read(sig, 64)),
    )


def define_refusing(linker, store):
    for name, arity in {"sha256": 3, "sha512": 3, "hmac_sha256": 5, "ed25519_verify": 4}.items():
        kind = wasmtime.FuncType([I32] * arity, [I32])
        linker.define(store, "ambient_crypto", name, wasmtime.Func(store, kind, lambda *_: EFAULT))


@pytest.fixture
def crypto_guest(run):
    return lambda message, *arguments, define=define_crypto: run("hash", message, arguments, define=define)


@pytest.mark.parametrize("message", MESSAGES)
def test_digests_are_those_of_the_input(crypto_guest, message):
    """SHA-256, SHA-512 and HMAC, in hexadecimal."""
    expected_mac = hmac.new(b"the key", message, "sha256").hexdigest()

    assert crypto_guest(message, "sha256").stdout.decode() == hashlib.sha256(message).hexdigest() + "\n"
    assert crypto_guest(message, "sha512").stdout.decode() == hashlib.sha512(message).hexdigest() + "\n"
    assert crypto_guest(message, "hmac", "the key").stdout.decode() == expected_mac + "\n"


@pytest.mark.parametrize("message", MESSAGES)
def test_signatures_are_told_apart(crypto_guest, message):
    """The signer's is valid; the same over another message is not."""
    good, other = KEY.sign(message).hex(), KEY.sign(message + b"!").hex()

    assert crypto_guest(message, "verify", PUBLIC_KEY.hex(), good).stdout == b"valid\n"
    assert crypto_guest(message, "verify", PUBLIC_KEY.hex(), other).stdout == b"not valid\n"


@pytest.mark.parametrize("arguments", [["sha256"], ["hmac", "k"], ["verify", "00" * 32, "00" * 64]])
def test_a_refused_host_call_is_a_failure_with_status_1(crypto_guest, arguments):
    """No digest is printed from memory the host did not fill."""
    outcome = crypto_guest(b"abc", *arguments, define=define_refusing)

    assert (outcome.stdout, outcome.exit_status) == (b"", 1)
    assert b"refused" in outcome.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["md5"], ["hmac"], ["sha256", "x"], ["verify", "00", "00"], ["verify", "zz" * 32, "00" * 64]],
)
def test_bad_arguments_are_refused_with_status_2(crypto_guest, arguments):
    """A reason on stderr."""
    outcome = crypto_guest(b"", *arguments)

    assert (outcome.stdout, outcome.exit_status) == (b"", 2)
    assert outcome.stderr.startswith(b"hash: ")
