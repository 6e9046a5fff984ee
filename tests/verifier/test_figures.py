"""What a verifier counts, over generated lines: every line once, and no label that somebody else could choose."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bus.messages import Inconclusive, Late, Quorum, Signature, Verdict, VerdictLine
from bus.terms import Tally
from metrics.board import Board
from verifier.figures import Figures
from verifier.metrics import verdicts

_WORDS = st.text(st.characters(codec="ascii"), max_size=8)
_VERDICTS = st.builds(
    Verdict,
    task=st.just("me.t"),
    status=st.sampled_from(("verified", "failed", "cancelled", "expired")),
    reason=st.one_of(st.sampled_from(("", "trap", "attempts", "deadline")), _WORDS),
    agree=st.sampled_from(((), ("n1",), ("n1", "n2"))),
    dissent=st.sampled_from(((), ("n3",))),
    verify=st.sampled_from((Signature(), Quorum(agree=2, of=3))),
    fuel=st.integers(0, 10**9),
    energy_j=st.floats(0, 100),
    energy_method=st.one_of(st.sampled_from(("measured:rapl", "estimated:tdp", "mixed")), _WORDS),
)
_LINES = st.one_of(
    _VERDICTS,
    st.builds(Inconclusive, task=st.just("me.t"), need=st.just(1), after=st.just(1)),
    st.builds(Late, task=st.just("me.t"), node=st.just("n1"), agrees=st.booleans(), evidence=st.just((1, 0))),
)


@given(st.lists(_LINES, max_size=20))
async def test_each_line_is_counted_once(lines: list[VerdictLine]) -> None:
    """Verdicts by status and policy, dissents also of late results, fuel and energy of what was accepted."""
    figures = Figures()
    for line in lines:
        figures.wrote(line)
    judged = [line for line in lines if isinstance(line, Verdict)]
    accepted = [verdict for verdict in judged if verdict.agree]

    assert figures.verdicts.total() == len(judged)
    assert figures.verdicts["verified", Quorum] == sum(
        verdict.status == "verified" and isinstance(verdict.verify, Quorum) for verdict in judged
    )
    assert figures.unverified.total() == sum(verdict.status != "verified" for verdict in judged)
    assert figures.inconclusive == sum(isinstance(line, Inconclusive) for line in lines)
    assert figures.dissents == sum(len(verdict.dissent) for verdict in judged) + sum(
        isinstance(line, Late) and not line.agrees for line in lines
    )
    assert figures.fuel == sum(verdict.fuel for verdict in accepted)
    assert math.isclose(sum(figures.energy_j.values()), math.fsum(v.energy_j for v in accepted), abs_tol=1e-9)


@given(st.lists(_VERDICTS, max_size=20))
async def test_what_nodes_and_clients_write_makes_no_series(lines: list[Verdict]) -> None:
    """However they name their reasons and methods, the page has the same few series."""
    figures = Figures()
    for line in lines:
        figures.wrote(line)
    page, _ = await Board([verdicts(Tally(), figures)]).page()
    series = [line for line in page.decode().splitlines() if not line.startswith("#")]

    assert len(series) <= 36
