"""Each misbehaving guest misbehaves exactly as its name says, also outside our own host."""

import platform
import struct

import pytest
import wasmtime

from examples.guests import build

SMALL_FUEL = 100_000


@pytest.mark.parametrize(
    ("name", "trap"),
    [
        ("loop", "all fuel consumed"),
        ("hog", "unreachable"),
        ("trap", "unreachable"),
        ("divzero", "integer divide by zero"),
        ("recurse", "call stack exhausted"),
    ],
)
def test_it_traps_as_its_name_says_both_ways_in(run, call, name, trap):
    """As a command and as a function."""
    fuel = SMALL_FUEL if name == "loop" else 10_000_000

    assert trap in run(f"misbehaving/{name}", fuel=fuel).trap
    with pytest.raises(wasmtime.Trap, match=trap):
        call(f"misbehaving/{name}", "run", fuel=fuel)


def test_exit3_leaves_both_outputs_and_status_3(run):
    """A guest's own failure with its reason."""
    outcome = run("misbehaving/exit3")

    assert (outcome.stdout, outcome.stderr, outcome.exit_status) == (b"partial\n", b"no such record\n", 3)


@pytest.mark.parametrize(("name", "stream"), [("flood", "stdout"), ("stderr_flood", "stderr")])
def test_floods_write_until_they_are_stopped(run, name, stream):
    """More than a hundred writes of 4 KiB, to one stream only, and only fuel ends it."""
    outcome = run(f"misbehaving/{name}", fuel=5_000)

    assert "all fuel consumed" in outcome.trap
    assert len(getattr(outcome, stream)) > 100 * 4096
    assert len(outcome.stdout + outcome.stderr) == len(getattr(outcome, stream))


@pytest.mark.parametrize(
    ("name", "imported"),
    [
        ("net", ("wasi_snapshot_preview1", "sock_accept")),
        ("connect", ("env", "connect")),
    ],
)
def test_forbidden_imports_are_in_the_module_by_name(name, imported):
    """What admission has to refuse can be read from the module alone."""
    module = wasmtime.Module.from_file(wasmtime.Engine(), str(build.HERE / f"misbehaving/{name}.wasm"))

    assert imported in [(one.module, one.name) for one in module.imports]


def test_opens_file_exits_with_the_error_number_it_gets(run):
    """EBADF (8 in WASI preview 1), as nothing is open below descriptor 3; 0 would be a granted file."""
    assert run("misbehaving/opens_file").exit_status == 8


def test_nan_is_canonical_where_the_host_canonicalises(run):
    """Two f64 and two f32 in their one canonical form."""
    expected = struct.pack("<QQII", 0x7FF8 << 48, 0x7FF8 << 48, 0x7FC00000, 0x7FC00000)

    assert run("misbehaving/nan").stdout == expected


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="other processors make other NaNs")
def test_nan_differs_where_the_host_does_not_canonicalise(run):
    """So the guest can catch a host that forgot to: on x86, 0/0 is negative and payloads survive."""
    zero_by_zero, with_payload = struct.unpack("<QQ", run("misbehaving/nan", canonical_nan=False).stdout[:16])

    assert zero_by_zero == 0xFFF8 << 48
    assert with_payload == 0xFFFA0000DEADBEEF


def test_clock_shows_three_readings_and_a_resolution(run):
    """32 bytes; the monotonic clock does not go back."""
    _, first, second, resolution = struct.unpack("<QQQQ", run("misbehaving/clock").stdout)

    assert first <= second
    assert resolution > 0


def test_random_shows_two_different_halves(run):
    """32 bytes from two calls; a host that starts anew at each call is caught."""
    shown = run("misbehaving/random").stdout

    assert len(shown) == 32
    assert shown[:16] != shown[16:]


def lcg(n: int) -> int:
    state = 1
    for _ in range(n):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state


@pytest.mark.parametrize("n", [-1, 0, 1, 12_345])
def test_spin_steps_its_generator_n_times(call, n):
    """The state proves that every step was made."""
    assert call("misbehaving/slow", "spin", n) % 2**64 == lcg(n)


def test_slow_spins_as_long_as_its_argument_says(run):
    """A million steps need more than a million fuel; a thousand do not."""
    assert "all fuel consumed" in run("misbehaving/slow", arguments=["1000000"], fuel=1_000_000).trap

    assert run("misbehaving/slow", arguments=["1000"], fuel=1_000_000).trap == ""
