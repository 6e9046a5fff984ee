"""Files that are there whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from bus.disk import write_whole


def test_a_file_is_written_for_its_owner_and_replaced_whole(tmp_path: Path) -> None:
    """Mode 0600 from its first moment on; nothing else is left in the folder; a new content is another file, not the old one changed."""
    path = tmp_path / "secret"
    write_whole(path, b"one")
    before, mode = path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)
    with path.open("rb") as reader:
        write_whole(path, b"another")
        assert reader.read() == b"one"  # who has it open reads what was there

    assert (mode, path.read_bytes()) == (0o600, b"another")
    assert path.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [path]


def test_who_comes_second_finds_what_the_first_wrote(tmp_path: Path) -> None:
    """With `once` two that start together end with one file, and the second is told."""
    path = tmp_path / "secret"
    write_whole(path, b"first", once=True)
    with pytest.raises(FileExistsError):
        write_whole(path, b"second", once=True)

    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the disk reaches the caller before a name is changed."""
    path = tmp_path / "secret"
    write_whole(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
