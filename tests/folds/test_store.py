"""Checkpoints on a real server: whole or not at all, one behind another, and damage costs no more than the one before."""

from pathlib import Path
from typing import Any

import pytest

from bus.blobs import Blobs
from bus.connection import Bus
from bus.errors import Fenced
from folds.manifest import DIGEST_HEADER, PART_BYTES, Manifest
from folds.runs import Run, build, key_of, probe
from folds.shelf import Shelf
from folds.store import Checkpoint, CheckpointStore, folds_of, manifests_of

FOLD = "coordinator"


def store(bus: Bus, folder: Path, version: int = 1) -> CheckpointStore:
    return CheckpointStore(bus, FOLD, version, Shelf(folder))


def manifest(at: int, version: int = 1) -> Manifest:
    return Manifest(fold=FOLD, version=version, positions={"tasks": at}, written_ms=at, writer="me", epoch=3)


def run(kept: CheckpointStore, *names: str) -> Run:
    return kept.shelf.run(build([key_of(name) for name in names], [b"value"] * len(names), 5))


async def load(kept: CheckpointStore) -> Checkpoint:
    loaded = await kept.load()
    assert loaded is not None
    return loaded


async def test_what_is_saved_is_loaded_here_and_elsewhere(bus: Bus, tmp_path: Path) -> None:
    """State and runs, by the process that saved them, by one with the same folder, and by one on another machine."""
    first = store(bus, tmp_path / "one")
    assert await first.load() is None
    state = b"state" * (PART_BYTES // 5 + 10)
    saved = await first.save(manifest(7), state, [run(first, "a", "b")])
    for folder in ("one", "other machine"):
        loaded = await load(store(bus, tmp_path / folder))

        assert (loaded.manifest, loaded.state) == (saved, state)
        assert [each.get(probe(key_of("b"))) for each in loaded.runs] == [b"value"]
    assert (saved.writer, saved.epoch, saved.positions) == ("me", 3, {"tasks": 7})
    assert await folds_of(bus) == [FOLD]


async def test_a_stale_writer_is_refused_and_learns_who_was_there(bus: Bus, tmp_path: Path) -> None:
    """Two that both believe to lead: the second to save behind the same checkpoint is fenced, and may go on after a look."""
    one, two = store(bus, tmp_path / "1"), store(bus, tmp_path / "2")
    for each in (one, two):
        await each.load()
    await one.save(manifest(1), b"one", [])
    with pytest.raises(Fenced):
        await two.save(manifest(2), b"two", [])
    await two.look()

    assert two.newest is not None
    assert two.newest.positions == {"tasks": 1}
    await two.save(manifest(2), b"two", [])
    assert (await load(one)).state == b"two"


async def test_two_checkpoints_stay_and_what_only_older_ones_needed_goes(bus: Bus, tmp_path: Path) -> None:
    """On the bus and in the folder; a run that the newer ones name as well stays."""
    kept = store(bus, tmp_path)
    await kept.load()
    shared, early = run(kept, "shared"), run(kept, "early")
    for at in range(1, 5):
        await kept.save(manifest(at), b"%d" % at, [shared, early] if at < 3 else [shared])
        kept.keep([shared])
    blobs = Blobs(bus, "anybody", kind="checkpoints")

    assert [each.positions["tasks"] for _, each in await manifests_of(bus, FOLD)] == [4, 3]
    assert await blobs.has(shared.digest)
    assert not await blobs.has(early.digest)
    parts = frozenset[str]().union(*(each.parts for _, each in await manifests_of(bus, FOLD)))
    assert {path.name for path in tmp_path.iterdir()} == parts  # noqa: ASYNC240 -- a handful of names


async def damage_manifest(bus: Bus, *_: object) -> None:
    """Its bytes are not what they were."""
    stream, subject = bus.subjects.stream("checkpoints"), bus.subjects.checkpoint(FOLD)
    message = await bus.js.get_last_msg(stream, subject)
    assert message.headers
    body = (message.data or b"").replace(b'"tasks":2', b'"tasks":3')
    await bus.js.delete_msg(stream, message.seq or 0)
    await bus.js.publish(subject, body, headers={DIGEST_HEADER: message.headers[DIGEST_HEADER]})


async def lose_part(bus: Bus, folder: Path, newest: Manifest) -> None:
    """A part is gone, here and on the bus."""
    await Blobs(bus, FOLD, kind="checkpoints").drop(newest.state[0])
    (folder / newest.state[0]).unlink()


async def replace_part(bus: Bus, folder: Path, newest: Manifest) -> None:
    """A part is something else, here and on the bus."""
    await lose_part(bus, folder, newest)
    (folder / newest.state[0]).write_bytes(b"something else")
    await bus.js.publish(
        bus.subjects.blob(FOLD, newest.state[0], 0, kind="checkpoints"),
        b"something else",
        headers={"Avcp-Chunks": "1"},
    )


@pytest.mark.parametrize("damage", [damage_manifest, lose_part, replace_part])
async def test_a_damaged_checkpoint_costs_the_way_from_the_one_before(
    bus: Bus, tmp_path: Path, damage: Any
) -> None:
    """It is noticed by its digests and passed over; the next one is saved behind it as ever."""
    kept = store(bus, tmp_path)
    await kept.load()
    await kept.save(manifest(1), b"one", [])
    newest = await kept.save(manifest(2), b"two", [])
    await damage(bus, tmp_path, newest)
    again = store(bus, tmp_path)
    loaded = await load(again)

    assert (loaded.manifest.positions, loaded.state) == ({"tasks": 1}, b"one")
    await again.save(manifest(4), b"four", [])
    assert (await load(store(bus, tmp_path))).state == b"four"


async def test_a_damaged_file_is_fetched_anew(bus: Bus, tmp_path: Path) -> None:
    """The folder may be lost or altered: what is on the bus is what counts."""
    kept = store(bus, tmp_path)
    await kept.load()
    saved = await kept.save(manifest(1), b"one", [run(kept, "a")])
    for digest in saved.parts:
        (tmp_path / digest).write_bytes(b"rubbish")
    loaded = await load(store(bus, tmp_path))

    assert loaded.state == b"one"
    assert loaded.runs[0].get(probe(key_of("a"))) == b"value"


def test_a_run_is_kept_in_place_of_a_damaged_file_of_its_name(tmp_path: Path) -> None:
    """Also where the disk had something else under that name: what is looked up later is what was put in, from the file."""
    data = build([key_of("a")], [b"value"], 5)
    digest = Run(data).digest
    for damage in (b"", b"rubbish", bytes(data[:-1]) + b"x"):
        (tmp_path / digest).write_bytes(damage)
        shelf = Shelf(tmp_path)
        kept = shelf.run(data)

        assert kept.get(probe(key_of("a"))) == b"value"
        assert (tmp_path / digest).read_bytes() == data
        shelf.close()
    assert Shelf(tmp_path).kept_run("0" * 64) is None


async def test_what_a_writer_left_behind_that_died_goes_after_a_while(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part without a manifest stays as long as its writer may still be about to write it, and no longer."""
    blobs = Blobs(bus, FOLD, kind="checkpoints")
    left = await blobs.put(b"left behind")
    for patience_s, stays in ((600, True), (-1, False)):
        monkeypatch.setattr("folds.store._LEFT_S", patience_s)
        kept = store(bus, tmp_path)
        await kept.load()
        await kept.save(manifest(1), b"state", [])

        assert await blobs.has(left) == stays
    assert (await load(store(bus, tmp_path / "elsewhere"))).state == b"state"


async def test_another_format_is_passed_over(bus: Bus, tmp_path: Path) -> None:
    """A checkpoint of an older or newer release is no state of this one, and does not keep it from saving its own."""
    old = store(bus, tmp_path / "old")
    await old.load()
    await old.save(manifest(9), b"old", [])
    new = store(bus, tmp_path / "new", version=2)

    assert await new.load() is None
    await new.save(manifest(10, version=2), b"new", [])
    assert (await load(store(bus, tmp_path / "new", version=2))).state == b"new"
    assert (await load(store(bus, tmp_path / "old"))).state == b"old"
