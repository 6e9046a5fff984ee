"""The outbox: whatever moment the process is killed at, what was added and not released is found again, in order."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import outbox as module
from workers.outbox import Outbox, Place


def kill(box: Outbox) -> None:
    """What the system does to a killed process's files."""
    if box._file is not None:
        box._file.close()
    os.close(box._head)


def lines_left(folder: Path) -> list[bytes]:
    box = Outbox(folder)
    kill(box)
    return [line for line, _ in box.left]


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.lines"))


def test_what_was_not_released_is_left_for_the_next_process(tmp_path: Path) -> None:
    """A kill needs no closing: the files are whole at every moment."""
    first = Outbox(tmp_path)
    places = first.add([b"1", b"2", b"3"])
    first.release(places[:1])
    kill(first)

    assert lines_left(tmp_path) == [b"2", b"3"]


def test_claims_of_two_lives_are_released_in_order(tmp_path: Path) -> None:
    """What an earlier process left comes first, and is forgotten first."""
    first = Outbox(tmp_path)
    first.add([b"1", b"2"])
    kill(first)
    second = Outbox(tmp_path)
    second.add([b"3"])
    assert [line for line, _ in second.left] == [b"1", b"2"]
    second.release([second.left[0][1]])
    assert lines_left(tmp_path) == [b"2", b"3"]
    second.release([second.left[1][1]])
    kill(second)

    assert lines_left(tmp_path) == [b"3"]


@given(cut=st.integers(0, 30), junk=st.binary(max_size=5).filter(lambda data: b"\n" not in data))
def test_a_torn_write_loses_only_the_line_that_was_torn(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    """A write that ended anywhere, with anything after it: whole lines are there, half a line is not."""
    folder = tmp_path_factory.mktemp("outbox")
    written = [b"first", b"second", b"third"]
    box = Outbox(folder)
    box.add(written)
    kill(box)
    (segment,) = segments(folder)
    whole = segment.read_bytes()
    torn = whole[: min(cut, len(whole))]
    segment.write_bytes(torn + junk)

    left = lines_left(folder)
    assert left == written[: torn.count(b"\n")]
    # And a line added after that is not glued to the torn one.
    again = Outbox(folder)
    again.add([b"new"])
    kill(again)
    assert lines_left(folder) == [*left, b"new"]


@given(st.lists(st.tuples(st.sampled_from(["add", "release", "kill"]), st.integers(0, 6)), max_size=40))
def test_every_history_leaves_exactly_what_was_not_released(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]
) -> None:
    """Adding, releasing and being killed in any order, through many segments: nothing is lost, nothing comes back."""
    folder = tmp_path_factory.mktemp("outbox")
    box = Outbox(folder, segment_bytes=10)
    expected: list[tuple[bytes, Place]] = []
    count = 0
    for move, number in history:
        if move == "add":
            fresh = [b"line %d" % (count + i) for i in range(number)]
            count += number
            expected += zip(fresh, box.add(fresh), strict=True)
        elif move == "release":
            box.release([place for _, place in expected[:number]])
            del expected[:number]
        else:
            kill(box)
            box = Outbox(folder, segment_bytes=10)
            assert [line for line, _ in box.left] == [line for line, _ in expected]
            expected = list(box.left)
    kill(box)
    assert lines_left(folder) == [line for line, _ in expected]


def test_a_torn_head_makes_everything_go_out_again(tmp_path: Path) -> None:
    """After a power cut too much is sent, which is harmless, never too little."""
    box = Outbox(tmp_path)
    box.release(box.add([b"1", b"2"])[:1])
    kill(box)
    head = tmp_path / "head"
    data = bytearray(head.read_bytes())
    data[8] ^= 0xFF
    head.write_bytes(data)

    assert lines_left(tmp_path) == [b"1", b"2"]


def test_space_comes_back_when_claims_are_durable(tmp_path: Path) -> None:
    """Segments are deleted as they are done; in the end nothing but the head is left."""
    box = Outbox(tmp_path, segment_bytes=100)
    for _ in range(50):
        box.release(box.add([b"x" * 60]))
        assert len(segments(tmp_path)) <= 2
    box.close()

    assert segments(tmp_path) == []


def test_what_an_earlier_process_left_is_cleared_once_it_is_durable(tmp_path: Path) -> None:
    """Also where the later process claimed nothing itself."""
    first = Outbox(tmp_path)
    first.add([b"1", b"2"])
    kill(first)
    second = Outbox(tmp_path)
    second.release([place for _, place in second.left])
    second.close()

    assert segments(tmp_path) == []


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Outputs of clients lie in them."""
    folder = tmp_path / "outbox"
    box = Outbox(folder)
    box.add([b"secret"])

    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    kill(box)


@contextmanager
def full_disk() -> Iterator[None]:
    """The system takes no file beyond 1,000 bytes from this process: an OSError in the middle of a write, as on a full disk.

    Only around what is tested: the limit holds for every file, also for the one that the test run's report goes to.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_trouble_and_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims stay in memory, the reason is told, and when there is room again new claims are on disk."""
    box = Outbox(tmp_path)
    with full_disk():
        before = box.add([b"a" * 600])
        places = box.add([b"b" * 600])
        again = box.add([b"c"])

    assert places == again == [Place(0, 0)]
    assert "free space" in box.trouble
    monkeypatch.setattr(module, "FREE_BYTES", shutil.disk_usage(tmp_path).free * 2)
    box.heal()
    assert box.trouble  # there is still too little room to rely on
    monkeypatch.setattr(module, "FREE_BYTES", 0)
    box.heal()
    assert box.trouble == ""
    box.release([*before, *places])
    box.add([b"d"])
    kill(box)
    assert lines_left(tmp_path) == [b"d"]
