"""A backup is whole or is none: what is damaged, foreign or in the way is refused before anything is made of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ambient.backup import ORDER, Manifest, Taken, cut_meanwhile, read, restore, restore_files, take
from ambient.errors import BackupUnusable
from bus.connection import Bus

PLACES = dict.fromkeys(ORDER, 1)


def taken(log: str, first: int) -> Taken:
    return Taken(log, f"{log}.snapshot", 0, "", first, first, {}, {})


@given(st.sets(st.sampled_from(ORDER)))
def test_a_log_that_was_cut_meanwhile_makes_all_be_taken_again(cut: set[str]) -> None:
    """Each of them but checkpoints, which replace one another all the time."""
    logs = [taken(log, 7 if log in cut else 1) for log in ORDER]

    assert set(cut_meanwhile(PLACES, logs)) == cut - {"checkpoints"}


async def test_what_was_taken_is_made_again_as_it_was(bus: Bus, tmp_path: Path) -> None:
    """Sequences, gaps, bodies and headers; servers that have the cluster already are left as they are."""
    stream = bus.subjects.stream("tasks")
    for n in range(5):
        await bus.js.publish(bus.subjects.submit("me"), b"%d" % n, headers={"N": str(n)})
    await bus.js.purge_stream(stream, seq=3)
    await bus.js.delete_msg(stream, 4)
    (tmp_path / "data/verifier-1").mkdir(parents=True)
    (tmp_path / "data/verifier-1/identity").write_bytes(b"secret")
    manifest = await take(bus, tmp_path / "backup", tmp_path / "data")

    assert manifest.files == ["verifier-1/identity"]
    assert not [path for path in (tmp_path / "backup").rglob("*") if path.stat().st_mode & 0o077]
    with pytest.raises(BackupUnusable, match="is there already"):
        await restore(bus, tmp_path / "backup")
    for log in ORDER:
        await bus.js.delete_stream(bus.subjects.stream(log))
    assert await restore(bus, tmp_path / "backup") == manifest
    restore_files(manifest, tmp_path / "backup", tmp_path / "again")
    state = (await bus.js.stream_info(stream)).state
    kept = [await bus.js.get_msg(stream, sequence) for sequence in (3, 5)]

    assert (state.first_seq, state.last_seq, state.messages) == (3, 5, 2)
    assert [(each.data, each.headers) for each in kept] == [(b"2", {"N": "2"}), (b"4", {"N": "4"})]
    assert (tmp_path / "again/verifier-1/identity").read_bytes() == b"secret"


async def test_what_is_no_whole_backup_is_refused(bus: Bus, tmp_path: Path) -> None:
    """Without a manifest, of another cluster, with a byte changed, with a path that leads out; and a folder in use is not written to."""
    folder = tmp_path / "backup"
    cluster = bus.subjects.cluster
    with pytest.raises(BackupUnusable, match=r"manifest\.json"):
        read(tmp_path, cluster)
    manifest = await take(bus, folder)
    with pytest.raises(BackupUnusable, match="not empty"):
        await take(bus, folder)
    with pytest.raises(BackupUnusable, match="give --cluster"):
        read(folder, "another")
    path = folder / manifest.logs[0].file
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BackupUnusable, match="not what was written"):
        read(folder, cluster)
    out = Manifest(1, cluster, 0, 0, [], ["../../etc/key"])
    with pytest.raises(BackupUnusable, match="no file of a backup"):
        restore_files(out, folder, tmp_path / "data")
