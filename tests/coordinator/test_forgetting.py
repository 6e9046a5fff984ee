"""What is finished is known for as long as its id is taken, a while longer, and then no more."""

import asyncio
from collections import Counter, deque
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coordinator.due
import coordinator.ledger
import coordinator.queue
from bus.subjects import Subjects
from coordinator.core import Core
from coordinator.settings import Timing
from coordinator.strategies import strategy_named
from coordinator.tasks import FINISHED_BYTES
from coordinator.term import Term
from coordinator.trimmer import forget
from folds.remembered import Remembered
from folds.runs import Run, build, merge
from folds.trimming import Mark, mark
from tests.coordinator.cell import QUICK, Cell
from tests.coordinator.scripted import ADD, Client, eventually, task, until
from tests.coordinator.world import World

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


_OURS = ("bus.", "coordinator.", "folds.", "ledger.", "verifier.")


def entries(of: object) -> Counter[str]:
    """How many things each container that can be reached from `of` holds, by the names that lead there.

    Runs are left out: what they hold is on disk, and of them the test counts by itself.
    """
    counted: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", of)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, Run):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | set | frozenset | deque | tuple):
            counted[path] += len(thing)
            within = chain(thing, thing.values()) if isinstance(thing, dict) else thing
            waiting.extend((f"{path}[]", each) for each in within)
        elif type(thing).__module__.startswith(_OURS):
            names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
            names += vars(thing) if hasattr(thing, "__dict__") else ()
            waiting.extend((f"{path}.{name}", getattr(thing, name, None)) for name in names)
    return counted


def a_round(world: World, number: int) -> None:
    """Forty tasks, of every kind and end, while two that no node fits wait for ever."""
    world.submit(*(task(f"r{number}-{n}", deadline="2100-01-01T00:00:00Z") for n in range(20)))
    world.submit(*(task(f"q{number}-{n}", verify={"kind": "quorum", "agree": 2, "of": 3}) for n in range(10)))
    world.submit(*(task(f"n{number}-{n}", place={"region": "nowhere"}) for n in range(8)))
    world.submit(task("taken", priority=number % 10), b"{", task(f"m{number}", work={"args": [1]}))
    for n in range(8):
        world.cancel(f"n{number}-{n}")
    world.flush()
    world.answer("n1", status="fault")
    world.lose("n2")
    world.advance(500)
    for _ in range(60):
        for node in sorted(world.alive):
            while world.held[node]:
                world.answer(node)
        world.verify()
        world.flush()
        if len(world.core.ledger.open) == 2:
            return
        world.advance(1000)
    raise AssertionError(world.core)


def test_what_is_finished_leaves_a_few_bytes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tasks are finished, no container in coordinator or verifier grows; of a task one byte and its part of a run remain."""
    for module in (coordinator.due, coordinator.queue):
        monkeypatch.setattr(module, "_FEW", 16)
    monkeypatch.setattr(coordinator.ledger, "_REMEMBERED", 8)
    world = World(timing=Timing(redeliver_ms=1000))
    world.judge.settled.most_warm = 100
    world.submit(*(task(name, place={"region": "nowhere"}) for name in ("for-ever", "as-long")))
    kept = (world.core.ledger.finished, world.judge.settled.old)
    most: list[Counter[str]] = [Counter(), Counter()]
    for number in range(24):
        a_round(world, number)
        for remembered in kept:
            _seal(remembered)
        if number >= 6:
            most[number >= 15] |= entries((world.core, world.judge))

    # Of the hundred that were closed last, those vary that are owed an answer.
    grown = [path for path, count in most[1].items() if count > most[0][path] and ".owing" not in path]
    assert grown == []
    assert len(world.judge.settled.owing) <= len(world.judge.settled.warm) == 100
    assert len(kept[0]) == len(world.verdicts()) == 24 * 38 + 1
    for remembered in kept:
        assert len(remembered.runs) < 15
        held = sum(len(run._filter) * run._filter.itemsize for run in remembered.runs)
        assert held <= len(remembered) + 4 * len(remembered.runs)


def _seal(remembered: Remembered) -> None:
    given_out = remembered.to_seal(1)
    if given_out is not None:
        remembered.sealed(Run(build(*given_out)))
    while (group := remembered.to_merge()) is not None:
        remembered.merged(group, Run(merge(group)))
