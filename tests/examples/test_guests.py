"""The well-behaved guests give the right answers, by a plain Python reference each."""

import collections
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

I32 = st.integers(-(2**31), 2**31 - 1)
EXAMPLES = settings(max_examples=40, deadline=None)


def primes_up_to(limit: int) -> int:
    """Sieve without segments, so it shares no mistake with the guest's."""
    composite = bytearray(max(limit + 1, 2))
    count = 0
    for n in range(2, limit + 1):
        if not composite[n]:
            count += 1
            composite[n * n :: n] = b"\x01" * len(range(n * n, len(composite), n))
    return count


def text_statistics(text: bytes, top: int = 10) -> bytes:
    words = re.findall(rb"[A-Za-z0-9'\x80-\xff]+", text)
    counts = collections.Counter(word.lower() for word in words)
    figures = {"lines": text.count(b"\n"), "words": len(words), "bytes": len(text), "distinct": len(counts)}
    lines = [f"{name} {value}".encode() for name, value in figures.items()]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines += [b"%d %s" % (count, word) for word, count in ranked[:top]]
    return b"\n".join(lines) + b"\n"


@EXAMPLES
@given(a=I32, b=I32)
def test_add_is_addition_modulo_two_to_the_32(call, a, b):
    """Any two i32 give their sum, wrapped as WebAssembly wraps."""
    assert (call("add", "add", a, b) - (a + b)) % 2**32 == 0


def test_fast_does_nothing_both_ways_in(call, run):
    """What a benchmark measures with it can only be the sandbox."""
    assert call("fast", "fast") is None
    assert run("fast", b"ignored").stdout == b""


@EXAMPLES
@given(text=st.binary(max_size=300))
def test_upper_changes_ascii_letters_and_no_other_byte(run, text):
    """bytes.upper() has the same rule."""
    assert run("upper", text).stdout == text.upper()


def test_upper_passes_inputs_larger_than_its_buffer(run):
    """Several reads of 60 KiB are joined without loss."""
    text = bytes(range(256)) * 1000

    assert run("upper", text).stdout == text.upper()


@EXAMPLES
@given(limit=st.integers(-5, 200_000))
def test_primes_counts_like_a_plain_sieve(call, limit):
    """Every limit up to three segments agrees with the reference."""
    assert call("primes", "count_primes", limit) == primes_up_to(limit)


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        (-(2**31), 0),
        (1, 0),
        (2, 1),
        (3, 2),
        (65_537, 6_543),
        (65_539, 6_544),
        (10**6, 78_498),
        (10**7, 664_579),
    ],
)
def test_primes_agrees_with_known_values(call, limit, count):
    """Published values of pi(x), and both sides of a segment's edge."""
    assert call("primes", "count_primes", limit) == count


@pytest.mark.parametrize("limit", [0, 2, 1000, 10**6])
def test_the_primes_command_prints_what_the_function_returns(run, limit):
    """Both ways in, one answer."""
    outcome = run("primes_command", arguments=[str(limit)])

    assert (outcome.stdout, outcome.exit_status) == (f"{primes_up_to(limit)}\n".encode(), 0)


@pytest.mark.parametrize("arguments", [[], ["1", "2"], ["x"], ["-1"], ["2147483648"], ["5x"], [""]])
def test_the_primes_command_refuses_bad_limits_with_status_2(run, arguments):
    """Nothing on stdout, a reason on stderr."""
    outcome = run("primes_command", arguments=arguments)

    assert (outcome.stdout, outcome.exit_status) == (b"", 2)
    assert b"LIMIT" in outcome.stderr


@EXAMPLES
@given(
    text=st.lists(
        st.sampled_from([b"a", b"B", b"b", b"It's", b" ", b"\n", b"\xc3\xa9", b"9", b"-", b"\0"])
    ).map(b"".join)
)
def test_textstat_counts_what_python_counts(run, text):
    """Lines, words, bytes and the ranking, ties in byte order."""
    assert run("textstat", text).stdout == text_statistics(text)


def test_textstat_handles_more_words_and_bytes_than_it_starts_with(run):
    """The table and the buffer grow without losing a count."""
    text = b"".join(b"word%d Word%d\n" % (n % 9000, n % 70) for n in range(20_000))

    assert run("textstat", text, ["25"]).stdout == text_statistics(text, 25)


def test_textstat_refuses_a_bad_argument(run):
    """Exit status 2 and usage."""
    outcome = run("textstat", b"a", ["many"])

    assert (outcome.stdout, outcome.exit_status) == (b"", 2)
    assert b"usage" in outcome.stderr
