"""Exported functions: numbers in, canonical text out."""

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import UnfitModule
from sandbox.numbers import parse_arguments, render_results

MANY = """(module (func (export "f") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
  local.get 3 local.get 2 local.get 1 local.get 0))"""
INITIALISED = """(module (global $g (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $g (i32.const 41)))
  (func (export "f") (result i32) (i32.add (global.get $g) (i32.const 1))))"""


def test_several_results_are_a_json_list(guests):
    """Each kind of number goes in and comes out exactly; a number may be given as text."""
    assert (
        guests.run(MANY, "f", args=[-1, 2**63 - 1, 0.1, "1e300"]).output
        == b"[1e+300, 0.1, 9223372036854775807, -1]"
    )


def test_no_result_is_empty(guests):
    """A function that returns nothing has empty output."""
    assert guests.run('(module (func (export "f")))', "f").output == b""


def test_a_reactor_is_initialised_first(guests):
    """`_initialize` runs before the function, for every job anew."""
    assert [guests.run(INITIALISED, "f").output for _ in range(2)] == [b"42", b"42"]


@pytest.mark.parametrize(
    ("types", "args", "text"),
    [
        (["i32"], [], "takes 1 arguments"),
        (["i32"], [1, 2], "takes 1 arguments"),
        (["i32"], [2**32], "does not fit in i32"),
        (["i32"], [-(2**31) - 1], "does not fit in i32"),
        (["i64"], [2**64], "does not fit in i64"),
        (["i32"], [1.5], "must be an i32 integer"),
        (["i32"], ["1.5"], "must be an i32 integer"),
        (["i32"], ["9" * 5000], "must be an i32 integer"),
        (["i32"], [True], "must be an i32 integer"),
        (["f64"], ["one"], "must be an f64 number"),
        (["f32"], [1e39], "must be an f32 number"),
        (["f64"], [10**400], "must be an f64 number"),
    ],
)
def test_bad_arguments_are_named(types, args, text):
    """What does not fit is refused, saying which argument and why."""
    with pytest.raises(UnfitModule, match=text) as error:
        parse_arguments(types, args)
    assert error.value.field == "args"


def test_bad_arguments_are_a_deterministic_failure(guests):
    """Such a job fails alike everywhere: it has a trace."""
    outcome = guests.run(MANY, "f", args=["x", 1, 1, 1])

    assert (outcome.status, outcome.reason, len(outcome.trace)) == ("failed", "invalid", 64)


def test_a_missing_entry_is_invalid(guests):
    """The refusal names what the module does export."""
    assert "exports: f" in guests.run(MANY, "g").detail


@given(st.integers(-(2**63), 2**64 - 1))
def test_integers_keep_their_bits(value):
    """An unsigned reading and a signed one of the same bits are the same argument."""
    (signed,) = parse_arguments(["i64"], [value])

    assert (signed - value) % 2**64 == 0
    assert -(2**63) <= signed < 2**63


def digits(text):
    return len(Decimal(text).normalize().as_tuple().digits)


@given(st.floats(width=32))
def test_f32_text_is_the_shortest_that_reads_back(value):
    """The text of an f32 gives the same f32, and no shorter digits do."""
    text = render_results(["f32"], [value]).decode()

    if math.isnan(value):
        assert text == "nan"
    elif math.isinf(value):
        assert text == repr(value)
    else:
        assert struct.pack("<f", float(text)) == struct.pack("<f", value)
        assert digits(text) <= digits(repr(value))


def test_a_list_with_infinity_is_still_json():
    """What JSON has no number for is a string."""
    assert render_results(["f64", "f64"], [math.inf, math.nan]) == b'["inf", "nan"]'
