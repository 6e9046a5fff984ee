"""What a guest sees of the host: streams, arguments, time, randomness, hashes, and errors for lying pointers."""

import hashlib
import hmac
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sandbox import abi, crypto, wasi

FAULT = struct.pack("<I", abi.EFAULT)
BADF = struct.pack("<I", abi.EBADF)


def test_the_host_is_what_the_contract_says():
    """Exactly the functions that admission accepts are implemented."""
    offered = {(abi.WASI, name) for name in wasi.CALLS} | {(abi.CRYPTO, name) for name in crypto.CALLS}

    assert offered == set(abi.HOST_FUNCTIONS)


def test_standard_input_to_output(guests):
    """Input is read in pieces until it ends; the pieces come out."""
    body = """(local $n i32)
      (loop
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 7))
        (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $n (i32.load (i32.const 8)))
        (call $say (i32.const 100) (local.get $n))
        (br_if 0 (local.get $n)))"""

    assert guests.command(body, input=b"hello, deterministic world").output == b"hello, deterministic world"


def test_arguments(guests):
    """A command sees its name and its arguments, numbers as their text."""
    body = """(drop (call $args_get (i32.const 0) (i32.const 100)))
      (call $say (i32.const 100) (i32.const 21))"""

    assert (
        guests.command(body, args=["x", 12, 1.5, "é"]).output[:19] == b"guest\0x\x0012\x001.5\0\xc3\xa9\0\0"
    )


def test_environment(guests):
    """The environment is the job's, nothing of the machine's."""
    body = """(drop (call $environ_sizes_get (i32.const 0) (i32.const 4))) (call $say (i32.const 0) (i32.const 8))"""

    assert guests.command(body, env={"A": "1", "BC": "2"}).output == struct.pack("<II", 2, 9)
    assert guests.command(body).output == bytes(8)


def test_time_only_counts(guests):
    """Each look moves the clock by one step, whichever clock it is."""
    look = "(drop (call $clock_time_get (i32.const {}) (i64.const 0) (i32.const {})))"
    body = look.format(0, 0) + look.format(1, 8) + "(call $say (i32.const 0) (i32.const 16))"

    assert guests.command(body).output == struct.pack("<QQ", abi.CLOCK_STEP_NS, 2 * abi.CLOCK_STEP_NS)


def test_waiting_moves_the_clock_and_takes_no_time(guests):
    """A wait of an hour is over at once, and the clock says an hour has passed."""
    hour = 3_600_000_000_000
    body = f"""(i64.store (i32.const 24) (i64.const {hour}))
      (drop (call $poll_oneoff (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))
      (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 300)))
      (call $say (i32.const 300) (i32.const 8))"""
    outcome = guests.command(body)

    assert outcome.output == struct.pack("<Q", hour + abi.CLOCK_STEP_NS)
    assert outcome.wall_ms < 1000


def test_randomness_is_the_seeds(guests):
    """The same seed gives the same bytes, another seed others, and a second request others again."""
    ask = "(drop (call $random_get (i32.const {}) (i32.const 16)))"
    body = ask.format(0) + ask.format(16) + "(call $say (i32.const 0) (i32.const 32))"
    one, again, other = (guests.command(body, seed=seed).output for seed in (b"one", b"one", b"two"))

    assert one == again != other
    assert one[:16] != one[16:]


def test_a_seed_alone_changes_the_trace(guests):
    """What went in is part of the trace, even if the guest did not look at it."""
    assert guests.command("nop", seed=b"a").trace != guests.command("nop", seed=b"b").trace


def test_there_are_no_files(guests):
    """No descriptor but the three streams exists, and nothing can be opened."""
    body = """(call $say_number (call $fd_prestat_get (i32.const 3) (i32.const 0)))
      (call $say_number (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
        (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))
      (call $say_number (call $fd_read (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $say_number (call $fd_write (i32.const 7) (i32.const 0) (i32.const 1) (i32.const 8)))"""

    assert guests.command(body).output == BADF * 4


def test_a_closed_stream_stays_closed(guests):
    """Writing to a closed descriptor is EBADF."""
    body = """(drop (call $fd_close (i32.const 0)))
      (call $say_number (call $fd_close (i32.const 0)))
      (call $say_number (call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)))"""

    assert guests.command(body).output == BADF * 2


LIES = {
    "args_sizes_get": "(i32.const -1) (i32.const 0)",
    "clock_time_get": "(i32.const 0) (i64.const 0) (i32.const 65530)",
    "random_get": "(i32.const 65000) (i32.const 1000)",
    "random_get whole": "(i32.const 1) (i32.const -1)",
    "fd_read": "(i32.const 0) (i32.const -8) (i32.const 1) (i32.const 8)",
    "fd_write": "(i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8)",
    "fd_write many": "(i32.const 1) (i32.const 0) (i32.const 1000) (i32.const 65536)",
    "fd_fdstat_get": "(i32.const 0) (i32.const 65535)",
    "poll_oneoff": "(i32.const 0) (i32.const 65530) (i32.const 1) (i32.const 0)",
    "sha256": "(i32.const 0) (i32.const 65537) (i32.const 0)",
    "sha256 out": "(i32.const 0) (i32.const 4) (i32.const 65520)",
    "sha512": "(i32.const -1) (i32.const -1) (i32.const -1)",
    "hmac_sha256": "(i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 0)",
    "ed25519_verify": "(i32.const 65510) (i32.const 0) (i32.const 0) (i32.const 0)",
}


@pytest.mark.parametrize("name", LIES)
def test_a_lying_pointer_is_efault(guests, name):
    """Pointers and lengths that leave the memory are answered, not followed."""
    outcome = guests.command(f"(call $say_number (call ${name.split()[0]} {LIES[name]}))")

    assert (outcome.status, outcome.output) == ("ok", FAULT)


def test_a_pointer_into_grown_memory_is_good(guests):
    """The host sees memory that the guest grew a moment ago."""
    body = """(drop (memory.grow (i32.const 1)))
      (call $say_number (call $random_get (i32.const 130000) (i32.const 16)))"""

    assert guests.command(body).output == bytes(4)


def test_a_command_without_memory_cannot_be_hurt(guests):
    """Host calls from a module without exported memory are refused at admission."""
    text = """(module (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
      (func (export "_start")))"""

    assert guests.run(text).reason == "invalid"


@pytest.mark.parametrize("size", [0, 1, 64, 60_000, 500_000])
def test_hashes(guests, size):
    """Hash calls give what the standard library gives."""
    data = bytes(size)
    body = f"""(drop (call $sha256 (i32.const 0) (i32.const {size}) (i32.const 561000)))
      (drop (call $sha512 (i32.const 0) (i32.const {size}) (i32.const 561032)))
      (drop (call $hmac_sha256 (i32.const 0) (i32.const {size}) (i32.const 0) (i32.const {size}) (i32.const 561096)))
      (call $say (i32.const 561000) (i32.const 128))"""

    assert guests.command(body, memory="16").output == (
        hashlib.sha256(data).digest() + hashlib.sha512(data).digest() + hmac.digest(data, data, "sha256")
    )


def test_ed25519(guests):
    """A good signature is 0; a wrong one, a wrong message and a malformed key are 1000."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"message")
    escaped = "".join(f"\\{byte:02x}" for byte in public + signature + b"message")
    verify = (
        "(call $say_number (call $ed25519_verify (i32.const {}) (i32.const {}) (i32.const 7) (i32.const {})))"
    )
    body = (
        verify.format(0, 96, 32)
        + verify.format(0, 95, 32)
        + verify.format(0, 96, 33)
        + verify.format(1, 96, 32)
    )
    outcome = guests.command(body, extra=f'(data (i32.const 0) "{escaped}")')

    assert outcome.output == struct.pack("<IIII", 0, 1000, 1000, 1000)


def test_the_trace_sees_every_call(guests):
    """Two guests with the same output but different host calls have different traces."""
    quiet = guests.command("(call $say (i32.const 0) (i32.const 1))")
    asking = guests.command("(call $say (i32.const 0) (i32.const 1)) (drop (call $sched_yield))")

    assert quiet.output == asking.output
    assert quiet.trace != asking.trace


def test_nan_is_canonical(guests):
    """A NaN's bits do not depend on how it came about."""
    body = """(f64.store (i32.const 0) (f64.div (f64.const 0) (f64.const 0)))
      (f64.store (i32.const 8) (f64.sqrt (f64.const -1)))
      (f64.store (i32.const 16) (f64.add (f64.const nan:0x123456) (f64.const 1)))
      (call $say (i32.const 0) (i32.const 24))"""

    assert guests.command(body).output == struct.pack("<Q", 0x7FF8_0000_0000_0000) * 3
