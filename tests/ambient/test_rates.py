"""What happens per second: never negative, never made up, and drawn so that it can be read."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ambient.cli.views import BY, bars, rate_line, top_table
from ambient.rates import KEPT, Rates
from bus.messages import Capabilities, NodeView

COUNTS = st.integers(0, 2**40)
LOOKS = st.lists(
    st.tuples(
        st.floats(0, 1e6, allow_nan=False),
        st.dictionaries(
            st.sampled_from("abc"), st.tuples(COUNTS, COUNTS, COUNTS, st.sampled_from(["k1", "k2"]))
        ),
        st.integers(0, 10**6),
    ),
    max_size=8,
)


def node(
    name: str, agreed: int = 0, wrong: int = 0, joules: float = 0.0, key: str = "k", **more: object
) -> NodeView:
    return NodeView(
        node=name,
        key=key,
        state="healthy",
        score=0.9,
        terms={},
        capabilities=Capabilities(version="1", engine="e", cores=2, memory_mb=64, slots=4),
        agreed=agreed,
        dissented=wrong,
        energy_j=joules,
        **more,  # type: ignore[arg-type]
    )


def shown(drawn: object, width: int = 100) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(drawn)
    return text.getvalue()


def test_what_grew_between_two_looks_is_told_per_second() -> None:
    """Over two seconds 10 results more, one wrong, 50 joules more, and 30 verdicts heard."""
    rates = Rates()
    rates.look(100.0, [node("n", 5, 1, 100.0)], 7)
    assert (rates.verdicts_per_s, rates.watts, rates.nodes["n"].agreed_per_s) == (None, None, None)

    rates.look(102.0, [node("n", 15, 2, 150.0)], 30)
    rate = rates.nodes["n"]
    assert (rate.agreed_per_s, rate.wrong_per_s, rate.watts) == (5.0, 0.5, 25.0)
    assert (rates.verdicts_per_s, rates.watts, list(rates.history)) == (15.0, 25.0, [15.0])


@given(LOOKS)
def test_no_history_makes_a_rate_negative_or_one_up(
    history: list[tuple[float, dict[str, tuple[int, int, int, str]], int]],
) -> None:
    """Counters that begin anew, other keys under a name, clocks that stand: a rate is a fact of both looks, or unknown."""
    rates, before = Rates(), dict[str, tuple[int, int, int, str]]()
    for at_s, counts, verdicts in history:
        rates.look(at_s, [node(name, a, w, j, key) for name, (a, w, j, key) in counts.items()], verdicts)
        assert set(rates.nodes) == set(counts)
        for name, rate in rates.nodes.items():
            known = [rate.agreed_per_s, rate.wrong_per_s, rate.watts]
            assert all(value is None or value >= 0 for value in known)
            if name not in before or before[name][3] != counts[name][3]:
                assert known == [None, None, None]
        assert rates.verdicts_per_s is None or rates.verdicts_per_s >= 0
        assert len(rates.history) <= KEPT
        before = counts


@given(st.lists(st.floats(0, 1e9, allow_nan=False), max_size=60))
def test_bars_are_one_for_each_value_and_only_nothing_is_empty(values: list[float]) -> None:
    """The highest value has the highest bar; a value above nothing is seen."""
    drawn = bars(values)

    assert len(drawn) == len(values)
    assert all((bar == " ") == (value == 0) for bar, value in zip(drawn, values, strict=True))
    if any(values):
        assert drawn[values.index(max(values))] == "█"


def test_the_first_row_is_that_of_who_does_most_and_the_rest_is_counted() -> None:
    """Sorted by rate, one row shown: the busiest, with its figures, and how many more there are."""
    rates = Rates()
    rates.look(0.0, [node("idle"), node("busy"), node("wrong")], 0)
    found = [node("idle", 1), node("busy", 400), node("wrong", 2, 30)]
    rates.look(1.0, found, 403)
    text = shown(top_table(found, rates, limit=1))

    assert text.splitlines()[1].split()[:4] == ["busy", "healthy", "400", "0"]
    assert "2 more" in text
    assert "30.0" in shown(top_table(found, rates, sort=BY["name"]))
    assert [line.split()[0] for line in shown(top_table(found, rates, sort=BY["name"])).splitlines()[1:]] == [
        "busy",
        "idle",
        "wrong",
    ]
    assert shown(rate_line(rates)).startswith("403 verdicts/s  █")


def test_top_fits_a_terminal_of_80_columns() -> None:
    """With names of usual length no figure is cut off or folded, however large it is."""
    rates = Rates()
    rates.look(0.0, [node("node-1")], 0)
    found = node("node-1", 99_999, joules=9_999.0, open=16, latency_ms=999.9, temperature_c=99.0)
    rates.look(1.0, [found], 99_999)
    text = shown(top_table([found], rates), width=80)

    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("node-1", "99,999", "9,999.0", "999.9", "16/4"))
    assert len(text.splitlines()) == 2
