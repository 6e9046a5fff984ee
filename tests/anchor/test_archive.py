"""What is known of old tasks leaves memory and checkpoints, is found on the disk, and is made again there from the messages."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import folds.remembered
from anchor import checkpoint
from anchor.archive import Archive
from anchor.core import KNOWN, Core
from anchor.messages import Message, MessageStore
from anchor.receipt.check import check
from anchor.storing import Storing
from anchor.window import HOURS, Window
from bus.connection import Bus
from bus.signing import VERDICTS
from bus.wire import encode
from folds.runs import Run, build, key_of
from tests.anchor import receipts
from tests.anchor.scripted import WAIT_S, anchoring, judge, receipt

HOUR_MS = 3_600_000


def body(*tasks: str, source: int = 1) -> bytes:
    lines = [encode(receipts.verdict(task, source=(source, at))) for at, task in enumerate(tasks)]
    return receipts.VERIFIER.seal(VERDICTS, lines)


@given(st.lists(st.tuples(st.integers(0, 6 * HOUR_MS), st.integers(0, 5)), max_size=80))
def test_the_window_holds_a_day_and_little_more(entries: list[tuple[int, int]]) -> None:
    """Whatever the pace: no leaf of the last 25 hours is outside, none of 27 hours ago inside, and it never goes back."""
    window, now_ms, size, before = Window(), 10**12, 0, 0
    taken: list[int] = []
    for later_ms, leaves in entries:
        now_ms += later_ms
        window.note(now_ms, size)
        taken += [now_ms] * leaves
        size += leaves
        assert window.first >= before
        before = window.first
        young = [leaf for leaf, at_ms in enumerate(taken) if at_ms > now_ms - HOURS * HOUR_MS]
        old = [leaf for leaf, at_ms in enumerate(taken) if at_ms < now_ms - (HOURS + 2) * HOUR_MS]
        assert all(leaf >= window.first for leaf in young)
        assert all(leaf < window.first for leaf in old)
        assert len(window.marks) <= HOURS + 2


def test_a_second_verdict_is_refused_for_a_day_and_its_name_is_free_afterwards() -> None:
    """By the server's time stamps, so that every anchor says the same, whenever it folds."""
    core = Core("log")
    core.fold_verdicts(1, body("me.a"), 0)
    refused = core.fold_verdicts(2, body("me.a"), 24 * HOUR_MS)
    core.fold_verdicts(3, body("me.b", source=2), 30 * HOUR_MS)
    free = core.fold_verdicts(4, body("me.a"), 31 * HOUR_MS)

    assert [each.field for each in refused.unlogged] == ["task"]
    assert (free.lines, core.leaf_of("me.a"), core.edge.size) == ((0,), 2, 3)


def test_refusals_are_forgotten_with_the_entries_that_they_are_about() -> None:
    """Below where VERDICTS begins nobody folds again."""
    core = Core("log")
    for sequence in (1, 2, 3):
        core.fold_verdicts(sequence, b"\x00nothing")
    core.forget_refusals(3)

    assert list(core.unlogged) == [(3, 0)]


def filled(messages: MessageStore, count: int) -> list[str]:
    """Messages with three verdicts each; the tasks by leaf."""
    tasks = [f"me.t{at}" for at in range(count)]
    core = Core("log")
    for at in range(0, count, 3):
        data = body(*tasks[at : at + 3], source=at + 1)
        logged = core.fold_verdicts(at + 1, data)
        messages.append([Message(logged.sequence, logged.first, logged.lines, data)])
    return tasks


def run_of(tasks: list[str], first: int, last: int) -> Any:
    leaves = range(first, last + 1)
    return build([key_of(tasks[at]) for at in leaves], [KNOWN.pack(at, at, 0) for at in leaves], last)


def test_an_index_that_is_lost_or_damaged_is_made_again(tmp_path: Path) -> None:
    """As far as the messages are here; what is not is told."""
    messages = MessageStore(tmp_path / "messages")
    tasks = filled(messages, 30)
    archive = Archive(tmp_path / "index")
    archive.add(0, 9, run_of(tasks, 0, 9))
    archive.add(10, 19, run_of(tasks, 10, 19))
    archive.add(10, 19, run_of(tasks, 10, 19))
    assert [archive.leaf_of(task) for task in tasks] == [*range(20), *[None] * 10]
    archive.close()
    damaged, _ = sorted((tmp_path / "index").iterdir())
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    (tmp_path / "index" / "x.partial").write_bytes(b"")

    archive = Archive(tmp_path / "index")
    assert archive.leaf_of(tasks[5]) is None
    archive.fill(30, messages)
    assert [archive.leaf_of(task) for task in tasks] == list(range(30))
    assert archive.holes == []
    assert archive.leaf_of("me.nobody") is None
    archive.close()
    archive = Archive(tmp_path / "index")
    assert [archive.leaf_of(task) for task in tasks] == list(range(30))
    archive.fill(33, messages)
    assert archive.holes == [(30, 33)]
    archive.close()
    messages.close()


async def test_memory_and_checkpoint_let_go_of_what_the_disk_has(tmp_path: Path) -> None:
    """A run goes to the disk once its last leaf is out of the window; then a restored fold and the disk together know every task."""
    core = Core("log")
    storing = Storing(tmp_path, core, (), lambda: None)
    for sequence, task in enumerate(["me.a", "me.b", "me.c"], 1):
        data = body(task, source=sequence)
        storing.take(core.fold_verdicts(sequence, data, sequence * 20 * HOUR_MS), data)
    seal(core)
    data = body("me.d", source=4)
    storing.take(core.fold_verdicts(4, data, 200 * HOUR_MS), data)
    await storing.commit()
    await storing.retire()
    restored = Core("log")
    checkpoint.restore(restored, checkpoint.pack(core), core.index.runs)

    assert (core.index.runs, core.retired, len(core.index)) == ([], 3, 1)
    assert restored.window.marks == core.window.marks
    assert [restored.leaf_of(f"me.{name}") for name in "abcd"] == [None, None, None, 3]
    assert [storing.archive.leaf_of(f"me.{name}") for name in "abcd"] == [0, 1, 2, None]
    assert restored.retired == 3
    await storing.close()


def seal(core: Core) -> None:
    given_out = core.index.to_seal(1)
    assert given_out is not None
    core.index.sealed(Run(build(*given_out)))


async def test_a_commit_that_nobody_waits_for_any_more_is_done(tmp_path: Path) -> None:
    """Whoever asked is cancelled while the disk is busy: what was folded is on disk all the same, and the next commit comes behind it."""
    core = Core("log")
    storing = Storing(tmp_path, core, (), lambda: None)
    for sequence in (1, 2):
        data = body(f"me.t{sequence}", source=sequence)
        storing.take(core.fold_verdicts(sequence, data), data)
        async with storing.disk:
            waiting = asyncio.create_task(storing.commit())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
    await storing.close()
    kept = MessageStore(tmp_path / "messages")

    assert [message.sequence for message in kept.all_from(0)] == [1, 2]
    kept.close()


async def test_receipts_of_old_tasks_come_from_the_disk(
    bus: Bus, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A running anchor lets go of its index and still finds each task; so does one whose index was lost."""
    monkeypatch.setattr(folds.remembered, "SEAL_AT", 4)
    monkeypatch.setattr(Core, "retiring", property(lambda core: list(core.index.runs)))
    monkeypatch.setattr("folds.remembered.Remembered.to_seal", _seal_at_four)
    settings: dict[str, Any] = {"key": tmp_path / "key", "checkpoint_s": 0.02}
    tasks = [f"me.t{at}" for at in range(1, 13)]
    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        for task in tasks:
            await judge(bus, task)
            await receipt(bus, task)
        async with asyncio.timeout(WAIT_S):
            while len(list((tmp_path / "a" / "index").glob("*.run"))) < 2:
                await judge(bus, f"me.more{len(tasks)}")
                tasks.append(f"me.more{len(tasks)}")
                await asyncio.sleep(0.05)
        for task in tasks:
            assert check((await receipt(bus, task)).receipt or b"").verdict.task == task
    for path in (tmp_path / "a" / "index").iterdir():
        path.unlink()
    async with anchoring(bus.url, cluster, tmp_path / "a", **settings):
        for task in tasks:
            assert check((await receipt(bus, task)).receipt or b"").verdict.task == task


def _seal_at_four(remembered: Any) -> Any:
    if remembered._sealing or len(remembered._recent) < 4:
        return None
    remembered._sealing, remembered._recent = remembered._recent, {}
    remembered._last_sealing = remembered._last
    return list(remembered._sealing), list(remembered._sealing.values()), remembered._last_sealing
