"""Names on the bus: what may stand in a subject, and that each name is spelt in one way."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.errors import Malformed
from bus.messages import CancelRequest
from bus.subjects import LOGS, TOKEN_PATTERN, Subjects, token
from bus.wire import decode, decoder, encode

ALLOWED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


@given(st.text(ALLOWED, min_size=1, max_size=64))
def test_letters_digits_underscore_and_dash_are_a_token(name: str) -> None:
    """Every such name passes, unchanged, in code and on the wire."""
    assert token("client", name) == name
    assert decode(encode({"id": name}), decoder(CancelRequest)).id == name


@given(st.text(max_size=70))
def test_anything_else_is_refused_the_same_way_everywhere(name: str) -> None:
    """The function, the pattern in the schemas and the decoder agree on every string."""
    good = 1 <= len(name) <= 64 and set(name) <= set(ALLOWED)
    line = encode({"id": name})
    if good:
        assert token("client", name) == decode(line, decoder(CancelRequest)).id
        return
    with pytest.raises(Malformed, match="client"):
        token("client", name)
    with pytest.raises(Malformed, match="id"):
        decode(line, decoder(CancelRequest))


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "a\n", "\n", "é", "²", "a" * 65, "a/b", "a\0"])
def test_what_would_break_a_subject_is_no_token(name: str) -> None:
    """Wildcards, dots, blanks, and the trailing line break that Python's `$` alone lets through."""
    with pytest.raises(Malformed, match="letters, digits"):
        token("node", name)
    with pytest.raises(Malformed, match="cluster"):
        Subjects(name)


def test_the_pattern_means_the_same_to_match_and_search() -> None:
    """JSON Schema validators search, ours matches."""
    for text in ("a", "a\n", "\na", "a\nb"):
        assert bool(re.search(TOKEN_PATTERN, text)) == bool(re.match(TOKEN_PATTERN, text)) == (text == "a")


def test_the_subjects_are_those_of_the_papers() -> None:
    """Whoever built a client on docs/wire.md relies on each of them."""
    home = Subjects()

    assert home.submit("me") == "avcp.home.tasks.submit.me"
    assert home.cancel("me") == "avcp.home.tasks.cancel.me"
    assert home.assignments == "avcp.home.assignments"
    assert home.results("n1") == "avcp.home.results.n1"
    assert home.verdicts == "avcp.home.verdicts"
    assert home.anchors == "avcp.home.anchors"
    assert home.telemetry("n1") == "avcp.home.telemetry.n1"
    assert home.assign("n1") == "avcp.home.assign.n1"
    assert home.done("me.t1") == "avcp.home.done.me.t1"
    assert home.done("me") == "avcp.home.done.me"
    assert home.progress("me.t1") == "avcp.home.progress.me.t1"
    assert home.rejected("me") == "avcp.home.rejected.me"
    assert home.service("verifier", "verdict") == "avcp.home.svc.verifier.verdict"
    assert home.blob("me", "ab", 0) == "avcp.home.blobs.me.ab.0"
    assert [home.stream(log) for log in LOGS] == [
        "AVCP_home_TASKS",
        "AVCP_home_ASSIGNMENTS",
        "AVCP_home_RESULTS",
        "AVCP_home_VERDICTS",
    ]
