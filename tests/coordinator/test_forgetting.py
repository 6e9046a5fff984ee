"""What is finished is known for as long as its id is taken, a while longer, and then no more."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.subjects import Subjects
from coordinator.core import Core
from coordinator.settings import Timing
from coordinator.strategies import strategy_named
from coordinator.tasks import FINISHED_BYTES
from coordinator.term import Term
from coordinator.trimmer import forget
from folds.remembered import Remembered
from folds.runs import Run, build
from folds.trimming import Mark, mark
from tests.coordinator.cell import QUICK, Cell
from tests.coordinator.scripted import ADD, Client, eventually, task, until

HOUR_MS = 3_600_000


def finish(core: Core, name: str, sequence: int) -> None:
    """Put one task into a run of its own, its verdict at `sequence`."""
    finished = core.ledger.finished
    finished.put(name, bytes(FINISHED_BYTES), sequence)
    given_out = finished.to_seal(1)
    assert given_out is not None
    finished.sealed(Run(build(*given_out)))


@given(keep_ms=st.sampled_from([1_000, 60_000, HOUR_MS, 24 * HOUR_MS]), late_ms=st.integers(0, 48 * HOUR_MS))
def test_a_name_is_known_for_its_time_and_a_while_beyond(keep_ms: int, late_ms: int) -> None:
    """An hour longer than it is taken, or twice as long where that is less; so that a bound in seconds is one of seconds."""
    core = Core(Subjects("c"), strategy_named("weighted"), Timing(keep_ms=keep_ms))
    marks: list[Mark] = []
    for sequence in range(1, 4):
        finish(core, f"me.t{sequence}", sequence)
        mark(marks, sequence * 1000, {**core.positions, "verdicts": sequence})
    forget(core, marks, 1000 + late_ms, keep_ms)
    longest_ms = keep_ms + min(keep_ms, HOUR_MS)

    assert ("me.t1" in core.ledger.finished) == (late_ms < longest_ms)
    assert ("me.t3" in core.ledger.finished) == (late_ms < longest_ms + 2000)


async def test_a_standby_forgets_as_well(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may stand by for weeks, and remembers no more than the one who leads."""
    monkeypatch.setattr(Remembered.to_seal, "__defaults__", (1,))
    settings = cell.settings(
        name="second",
        timing=replace(QUICK, keep_ms=1),
        checkpoint_s=0.05,
        data=cell.settings().data / "second",
    )
    cell.coordinator(name="first")
    client = await Client(cell.bus).start(ADD)
    await until(lambda: _name(cell), "first")
    await cell.node("n1")
    term = Term(cell.bus, settings)
    running = asyncio.create_task(term.serve())
    try:
        await client.submit(task("t1"))
        await eventually(lambda: "me.t1" in cell.verifier.judged)
        await eventually(lambda: term.core.positions["verdicts"] > 0)
        await eventually(lambda: len(term.core.ledger.finished) == 0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await term.close()

    assert term.core.epoch == 1


async def _name(cell: Cell) -> str:
    return (await cell.health()).name
