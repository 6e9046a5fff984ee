"""One guest per limit: each breaks it, and the outcome says which."""

import pytest

from sandbox.job import MIB

SPIN = '(module (func (export "f") (loop br 0)))'
RECURSE = '(module (func $f (export "f") call $f))'
HOG = """(module (memory (export "memory") 1)
  (func (export "f") (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))"""
HIDDEN_HOG = HOG.replace('(memory (export "memory") 1)', "(memory 1)")
GROWS = """(module (memory 1) (func (export "f") (param i32) (result i32)
  (drop (memory.grow (local.get 0))) (memory.grow (i32.const 1))))"""
TABLE_GROWS = """(module (table 1 funcref) (func (export "f") (param i32) (result i32)
  (table.grow (ref.null func) (local.get 0))))"""


def verdict(outcome):
    return outcome.status, outcome.reason


def test_fuel(guests):
    """An endless loop ends when its fuel does, having used all of it."""
    outcome = guests.run(SPIN, "f", fuel=1_000_000)

    assert verdict(outcome) == ("failed", "fuel")
    assert outcome.fuel == 1_000_000


def test_stack(guests):
    """Endless recursion ends as `stack`, not as a crash."""
    assert verdict(guests.run(RECURSE, "f")) == ("failed", "stack")


def test_memory_is_bounded(guests):
    """Growing past `memory_mb` is refused, and a guest that traps on it is said to have run out of memory."""
    outcome = guests.run(HOG, "f", memory_mb=8)

    assert verdict(outcome) == ("failed", "memory")
    assert 7 * MIB < outcome.peak_memory_bytes <= 8 * MIB


def test_memory_of_an_unexported_memory_is_measured(guests):
    """A guest that does not export its memory is bounded and measured alike."""
    hidden, shown = guests.run(HIDDEN_HOG, "f", memory_mb=8), guests.run(HOG, "f", memory_mb=8)

    assert (verdict(hidden), hidden.peak_memory_bytes) == (verdict(shown), shown.peak_memory_bytes)
    assert hidden.fuel == shown.fuel


def test_memory_at_the_limit_works(guests):
    """Exactly the allowance can be had, one page more cannot."""
    assert guests.run(GROWS, "f", args=[14], memory_mb=1).output == b"15"
    assert guests.run(GROWS, "f", args=[15], memory_mb=1).output == b"-1"


def test_memory_declared(guests):
    """A module that starts with more memory than allowed is refused before it runs."""
    outcome = guests.run('(module (memory 32) (func (export "f")))', "f", memory_mb=1)

    assert verdict(outcome) == ("failed", "memory")


def test_default_memory_of_512_mb_is_enough_for_512_mb(guests):
    """The default allowance can be used in full."""
    text = '(module (memory 8192) (func (export "f") (i32.store8 (i32.const 536870911) (i32.const 1))))'

    assert guests.run(text, "f").peak_memory_bytes == 512 * MIB


@pytest.mark.parametrize(("size", "answer"), [(99_999, b"1"), (100_000, b"-1")])
def test_table(guests, size, answer):
    """A table grows to its limit and no further."""
    assert guests.run(TABLE_GROWS, "f", args=[size]).output == answer


@pytest.mark.parametrize("tables", ["(table 100001 funcref)", "(table 1 funcref)" * 9])
def test_tables_declared(guests, tables):
    """A module that starts with too large a table, or too many, is refused as such."""
    assert verdict(guests.run(f'(module {tables} (func (export "f")))', "f")) == ("failed", "table")


def test_output(guests):
    """Output over `output_bytes` ends the guest; what was written before is kept."""
    body = "(call $say (i32.const 0) (i32.const 60)) (call $say (i32.const 0) (i32.const 60))"
    outcome = guests.command(body, output_bytes=100)

    assert verdict(outcome) == ("failed", "output")
    assert len(outcome.output) == 60


def test_output_exactly_at_the_limit(guests):
    """The last byte allowed may be written."""
    assert guests.command("(call $say (i32.const 0) (i32.const 100))", output_bytes=100).status == "ok"


def test_stderr(guests):
    """Standard error has a limit of its own."""
    body = """(i32.store (i32.const 4) (i32.const 101))
      (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))"""

    assert verdict(guests.command(body, stderr_bytes=100)) == ("failed", "stderr")
    assert verdict(guests.command(body, stderr_bytes=101)) == ("ok", "")


def test_output_of_a_function(guests):
    """A function's results count as output."""
    outcome = guests.run('(module (func (export "f") (result i32) i32.const 1000))', "f", output_bytes=3)

    assert (verdict(outcome), outcome.output) == (("failed", "output"), b"")


def test_host_calls_cost_fuel(guests):
    """A guest cannot buy hours of host time with little fuel: each call is charged."""
    outcome = guests.command("(loop (drop (call $sched_yield)) (br 0))", fuel=5_000_000)

    assert verdict(outcome) == ("failed", "fuel")


def test_bytes_moved_by_the_host_cost_fuel(guests):
    """Large requests are charged by size."""
    body = "(loop (drop (call $random_get (i32.const 0) (i32.const 65536))) (br 0))"
    outcome = guests.command(body, fuel=5_000_000)

    assert verdict(outcome) == ("failed", "fuel")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("unreachable", "unreachable executed"),
        ("(drop (i32.div_s (i32.const 1) (i32.const 0)))", "integer division by zero"),
        ("(drop (i32.load (i32.const -1)))", "memory access out of bounds"),
        ("(drop (i32.trunc_f32_s (f32.const nan)))", "conversion of a number out of range"),
    ],
)
def test_traps_are_named(guests, body, detail):
    """Each trap is a deterministic failure with words for a person."""
    outcome = guests.command(body)

    assert (verdict(outcome), outcome.detail) == (("failed", "trap"), detail)


@pytest.mark.parametrize("code", [1, 2, 255])
def test_exit_codes(guests, code):
    """A non-zero exit is a failure that carries its code and what was written before."""
    outcome = guests.command(f"(call $say (i32.const 0) (i32.const 3)) (call $proc_exit (i32.const {code}))")

    assert (verdict(outcome), outcome.exit_code, len(outcome.output)) == (("failed", "exit"), code, 3)


def test_exit_zero_is_success(guests):
    """`proc_exit(0)` is an ordinary end."""
    assert verdict(guests.command("(call $proc_exit (i32.const 0)) unreachable")) == ("ok", "")


def test_a_trap_in_the_start_function_is_the_guests(guests):
    """Code that runs while a module is set up is held to the same rules."""
    text = '(module (func $s unreachable) (start $s) (func (export "f")))'

    assert verdict(guests.run(text, "f")) == ("failed", "trap")


@pytest.mark.parametrize(
    "limits",
    [{"fuel": -1}, {"fuel": 1 << 63}, {"memory_mb": -1}, {"wall_ms": 0}, {"output_bytes": 1 << 40}],
)
def test_impossible_limits_are_refused(guests, limits):
    """Limits out of range are a clear refusal, never a number cut to size."""
    outcome = guests.run(SPIN, "f", **limits)

    assert verdict(outcome) == ("failed", "invalid")
    assert f"limits.{next(iter(limits))}" in outcome.detail
