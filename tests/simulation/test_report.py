"""A campaign tells what it found, also when it is interrupted, and what is left of it can be played later."""

from collections.abc import Iterator
from io import StringIO

from tests.simulation.campaign import Tally, be_quiet, campaign
from tests.simulation.report import Report

MUTATION = "nodes told before it is durable"


def _interrupted(seeds: range, after: int) -> Iterator[Tally]:
    for number, tally in enumerate(campaign(seeds, jobs=1)):
        if number == after:
            raise KeyboardInterrupt
        yield tally


def test_an_interrupted_campaign_says_how_to_go_on() -> None:
    """Ctrl-C ends it with a summary of what was played and the seeds that were not."""
    be_quiet()
    out = StringIO()
    report = Report(range(7, 1_000_007), out=out)

    whole = report.follow(_interrupted(range(7, 1_000_007), after=2))
    report.end(coverage=False, whole=whole)

    assert not whole
    assert "100 histories, " in out.getvalue()
    assert out.getvalue().endswith("interrupted; the rest: python -m tests.simulation --seeds 107-1000007\n")


def test_a_campaign_in_two_parts_counts_as_one() -> None:
    """Seeds are played alike in however many processes and parts, so that a campaign can be gone on with."""
    be_quiet()
    whole, parts = Tally(), Tally()
    for tally in campaign(range(120)):
        whole.add(tally)
    for seeds in (range(70), range(70, 120)):
        for tally in campaign(seeds, jobs=1):
            parts.add(tally)

    assert whole.following == parts.following == 120
    assert whole.events == parts.events
    assert whole.counted == parts.counted
    assert whole.settled_ms.at(0.5) == parts.settled_ms.at(0.5)


def test_a_failing_seed_is_told_with_the_command_that_shows_it() -> None:
    """Whoever sees a seed fail copies one line."""
    be_quiet()
    out = StringIO()
    report = Report(range(3), mutation=MUTATION, out=out)

    report.follow(campaign(range(3), mutation=MUTATION, jobs=1))

    assert f"python -m tests.simulation --seed 0 --mutation '{MUTATION}' --shrink\n" in out.getvalue()


def test_coverage_lists_what_happened() -> None:
    """The table names each fault, and how often it struck."""
    be_quiet()
    out = StringIO()
    report = Report(range(50), out=out)

    report.follow(campaign(range(50), jobs=1))
    report.end(coverage=True, whole=True)

    rows = [line for line in out.getvalue().splitlines() if line.startswith("crash of a leader")]
    assert [int(row.split()[4]) for row in rows] == [report.total.counted["crash of a leader"]]


def test_brief_histories_are_others_of_the_same_seeds_and_said_to_be() -> None:
    """They have fewer events, keep every promise, and can be looked at and gone on with as such."""
    be_quiet()
    out = StringIO()
    report = Report(range(1000), brief=True, out=out)
    usual = sum(tally.events for tally in campaign(range(50), jobs=1))
    report.total.add(next(campaign(range(1000), brief=True, jobs=1)))
    report.end(coverage=False, whole=False)

    assert report.total.broken == []
    assert report.total.events < 0.8 * usual
    assert out.getvalue().endswith("python -m tests.simulation --seeds 50-1000 --brief\n")
