"""Every promise of docs/guarantees.md, over generated histories of the whole system's cores."""

import os
import subprocess
import sys

import pytest

from tests.simulation.campaign import Tally, be_quiet, campaign
from tests.simulation.coverage import COUNTED
from tests.simulation.drawing import draw
from tests.simulation.world import play

SEEDS = int(os.environ.get("SIM_SEEDS", "1000"))
"""A thousand take two cores some five seconds. `make sim` plays as many as one likes."""

RARE = {"a log was cut under its reader"}
"""What happens in one of a thousand histories or fewer."""


@pytest.fixture(scope="module")
def total() -> Tally:
    """What came of all the seeds."""
    total = Tally()
    for tally in campaign(range(SEEDS)):
        total.add(tally)
    return total


def test_a_thousand_histories_break_no_promise(total: Tally) -> None:
    """Whatever is killed, paused, cut off, lost, doubled or filled: each task ends in its one right verdict."""
    assert total.broken == []
    assert total.histories == SEEDS
    assert total.events >= 200 * SEEDS


def test_every_kind_of_fault_strikes(total: Tally) -> None:
    """Each fault that a history may hold takes effect in some of them, and each way of making it good is taken."""
    assert {name for name in COUNTED if not total.counted[name]} <= RARE


def test_a_seed_has_one_history() -> None:
    """Played twice, a seed gives the same bytes in every log at the same times."""
    be_quiet()
    for seed in range(5):
        first, second = play(draw(seed)), play(draw(seed), tracing=True)

        assert (first.print, first.events) == (second.print, second.events)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_history_does_not_hang_on_the_process_that_plays_it(hash_seed: str) -> None:
    """Another process, with other hashes of strings, plays the same history: a failing seed fails everywhere."""
    be_quiet()
    code = (
        "from tests.simulation.campaign import be_quiet\n"
        "from tests.simulation.drawing import draw\n"
        "from tests.simulation.world import play\n"
        "be_quiet()\n"
        "print(*(play(draw(seed)).print for seed in range(8)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
    )

    assert told.stdout.split() == [play(draw(seed)).print for seed in range(8)]
