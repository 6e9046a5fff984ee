"""Anchors that die, are fought over and take over: no leaf twice, none missing, and no two signed states that contradict each other."""

import asyncio
import json
from pathlib import Path

import pytest

from anchor.errors import LogDamaged
from anchor.notes import sign
from anchor.receipt.check import check
from anchor.receipt.note import Checkpoint, write_note
from bus.connection import Bus
from bus.messages import Leader, Signed, Unlogged
from bus.signing import Identity
from bus.streams import last_sequence
from bus.wire import encode
from folds.store import manifests_of
from tests.anchor import rfc6962
from tests.anchor.scripted import (
    WAIT_S,
    anchored,
    anchoring,
    checkpoints,
    health,
    judge,
    leaves,
    process,
    receipt,
)


async def agrees(bus: Bus) -> int:
    """Every state that was ever signed is the tree of the first verdicts there are; how many leaves the newest has."""
    expected, roots = await leaves(bus), await checkpoints(bus)
    for size, root in roots.items():
        assert root == rfc6962.mth(expected[:size])
    return max(roots, default=0)


async def test_an_anchor_that_is_killed_again_and_again_loses_and_repeats_nothing(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """Kill -9 while verdicts come in; whoever starts on the same folder goes on, and each task has its receipt."""
    key = tmp_path / "key"
    total = 0
    for _ in range(2):
        with process(bus.url, cluster, tmp_path / "a", key):
            await health(bus)
            signed = asyncio.create_task(_signed_beyond(bus, total))
            while not signed.done():
                await judge(bus, *(f"me.t{total + at}" for at in range(1, 4)))
                total += 3
            await signed
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key):
        for at in (1, total // 2, total):
            assert check((await receipt(bus, f"me.t{at}")).receipt or b"").verdict.task == f"me.t{at}"
    assert await agrees(bus) == total


async def _signed_beyond(bus: Bus, size: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while max(await checkpoints(bus), default=0) <= size:
            await asyncio.sleep(0.01)


async def test_a_standby_takes_over_with_a_folder_of_its_own(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """It followed, so it has every leaf; the one that led is refused when it wakes, and nothing it had in mind is written."""
    key = tmp_path / "key"
    Identity.load(key)
    await judge(bus, "me.t1", "me.t2")
    with process(bus.url, cluster, tmp_path / "a", key, "a1") as first:
        await receipt(bus, "me.t1")
        async with anchoring(bus.url, cluster, tmp_path / "b", key=key, name="b1"):
            await judge(bus, "me.t3")
            await receipt(bus, "me.t3")
            first.kill()
            async with asyncio.timeout(WAIT_S):
                while (await health(bus)).name != "b1":
                    await asyncio.sleep(0.02)
            await judge(bus, "me.t4")
            for task in ("me.t1", "me.t4"):
                assert check((await receipt(bus, task)).receipt or b"").verdict.task == task
    leaders = [line.leader for line in await anchored(bus) if isinstance(line, Leader)]

    assert leaders == ["a1", "b1"]
    assert await agrees(bus) == 4


async def test_who_is_not_alone_in_anchors_stands_back(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """A line of somebody else's ends the term; the next one reads it, and goes on from there."""
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path):
        await receipt(bus, "me.t1")
        await bus.js.publish(bus.subjects.anchors, encode(Leader(epoch=7, leader="somebody")))
        await judge(bus, "me.t2")
        await receipt(bus, "me.t2")

        assert (await health(bus)).epoch == 8
    assert await agrees(bus) == 2


async def test_a_folder_that_was_lost_is_filled_from_the_log(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """Also where the checkpoint of the fold is there and says that all of it was read."""
    key = tmp_path / "key"
    await judge(bus, *(f"me.t{at}" for at in range(1, 301)))
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key, checkpoint_s=0.01):
        await receipt(bus, "me.t300")
        async with asyncio.timeout(WAIT_S):
            while not await manifests_of(bus, "anchor"):
                await asyncio.sleep(0.05)
    async with anchoring(bus.url, cluster, tmp_path / "elsewhere", key=key):
        assert check((await receipt(bus, "me.t7")).receipt or b"").verdict.task == "me.t7"
    assert (tmp_path / "elsewhere/log/tile/0/000").read_bytes() == (
        tmp_path / "a/log/tile/0/000"
    ).read_bytes()


async def test_verdicts_may_be_cut_below_the_anchors_checkpoint(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """What was cut is on the anchor's disk: old receipts are still had, and the tree goes on. On another disk they are refused clearly."""
    key = tmp_path / "key"
    await judge(bus, *(f"me.t{at}" for at in range(1, 41)))
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key, checkpoint_s=0.01):
        await receipt(bus, "me.t40")
        async with asyncio.timeout(WAIT_S):
            while not await manifests_of(bus, "anchor"):
                await asyncio.sleep(0.05)
    reached = (await manifests_of(bus, "anchor"))[0][1].positions["verdicts"]
    last = await last_sequence(bus, "verdicts")
    expected = await leaves(bus)

    assert reached == last
    await bus.js.purge_stream(bus.subjects.stream("verdicts"), seq=last + 1)
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key):
        await judge(bus, "me.t41")
        for task in ("me.t3", "me.t41"):
            assert check((await receipt(bus, task)).receipt or b"").verdict.task == task
    roots = await checkpoints(bus)
    assert roots[41] == rfc6962.mth([*expected, *await leaves(bus)])
    async with anchoring(bus.url, cluster, tmp_path / "new", key=key):
        await judge(bus, "me.t42")
        assert check((await receipt(bus, "me.t42")).receipt or b"").checkpoint.size == 42
        said = await bus.request_bytes(bus.subjects.service("anchor", "receipt"), b'{"task":"me.t3"}')
        assert "is in the log, but not in this anchor's folder" in json.loads(said)["limit"]


async def test_a_damaged_message_is_read_from_the_log_again(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """As long as VERDICTS has it: the receipt is made as if nothing had happened, and the file is as it was."""
    for at in range(1, 40):
        await judge(bus, f"me.t{at}", f"me.t{at + 100}")
    async with anchoring(bus.url, cluster, tmp_path):
        before = await receipt(bus, "me.t17")
        path = next((tmp_path / "messages").glob("*.verdicts"))
        whole = path.read_bytes()
        at = whole.index(b"me.t17")
        path.write_bytes(whole[:at] + b"xx" + whole[at + 2 :])
        after = await receipt(bus, "me.t17")

        assert after.receipt == before.receipt
        assert path.read_bytes() == whole


async def test_a_log_that_no_longer_leads_to_what_was_signed_is_signed_no_more(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """A state in ANCHORS that VERDICTS does not have: the anchor ends with the reason, and writes nothing."""
    key = tmp_path / "key"
    await judge(bus, "me.t1")
    async with anchoring(bus.url, cluster, tmp_path / "a", key=key):
        await receipt(bus, "me.t1")
    opened = [line for line in await anchored(bus) if isinstance(line, Signed)][-1]
    await judge(bus, "me.t2")
    origin = opened.note.split("\n")[0]
    forged = write_note(sign(Identity.load(key), Checkpoint(origin, 2, bytes(32)))).decode()
    line = Signed(size=2, verdicts=opened.verdicts + 1, note=forged)
    await bus.js.publish(bus.subjects.anchors, encode(line))
    before = await last_sequence(bus, "anchors")
    with pytest.raises(LogDamaged, match="no longer leads to the checkpoint of size 2"):
        async with anchoring(bus.url, cluster, tmp_path / "a", key=key) as task:
            await asyncio.wait_for(task, WAIT_S)

    assert await last_sequence(bus, "anchors") == before


async def test_what_is_no_leaf_is_remembered_by_who_did_not_see_why(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """A second verdict that was refused stays refused for an anchor that begins with an empty folder."""
    key = tmp_path / "key"
    await judge(bus, "me.t1")
    await judge(bus, "me.t1", fuel=5)
    await judge(bus, "me.t2")
    for folder in ("a", "b"):
        async with anchoring(bus.url, cluster, tmp_path / folder, key=key):
            await receipt(bus, "me.t2")
    assert await agrees(bus) == 2
    assert sum(isinstance(line, Unlogged) for line in await anchored(bus)) == 1
