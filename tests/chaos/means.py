"""What not every machine gives: wall clocks that can be put forward and back for one process, and disks that are soon full.

Guarantees that what is not to be had is said, with the reason (`Unavailable`), and that no mount outlives the process that made it.
"""

import contextlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

__all__ = ["Clocks", "Disk", "Unavailable", "own_mounts"]

_SOURCE = Path(__file__).with_name("clock.c")
_OFFSET = struct.Struct("=q")
_DISK_MB = 64
_BALLAST = "ballast"
_MIB = bytes(1 << 20)


class Unavailable(Exception):
    """This machine does not give it; the message says why."""


class Clocks:
    """Wall clocks of processes, below `folder`. Raises `Unavailable`."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux":
            raise Unavailable(f"the clock of a process cannot be moved on {sys.platform}")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._library = folder / "clock.so"
        # Without libc to link with: its symbols are there in whatever it is loaded into.
        build = (sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O2", "-nostdlib")
        try:
            subprocess.run((*build, "-o", self._library, _SOURCE), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"").decode(errors="replace").strip()[-300:]
            raise Unavailable(f"no compiler for the clock ({said or error})") from None

    def environment(self, name: str) -> tuple[str, ...]:
        """What the environment of the process of that name must hold, as `env` takes it."""
        file = self._folder / name
        if not file.exists():
            file.write_bytes(_OFFSET.pack(0))
        return (f"LD_PRELOAD={self._library}", f"CHAOS_CLOCK={file}")

    def put(self, name: str, by_s: float) -> None:
        """Put the clock of that process forward, or back; by 0: as it was. At once, for as long as it runs and for whoever comes after it."""
        with (self._folder / name).open("r+b") as file:
            file.write(_OFFSET.pack(int(by_s * 1e9)))


class Disk:
    """A small disk of its own at `folder`, until `leave`. Raises `Unavailable`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={_DISK_MB}m,mode=700"
        try:
            subprocess.run(
                ("mount", "-t", "tmpfs", "-o", options, "chaos", folder), check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", b"").decode(errors="replace").strip()
            raise Unavailable(f"no small disk can be mounted ({said or error})") from None

    def fill(self) -> None:
        """Take all the room that is left."""
        with contextlib.suppress(OSError), (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            while True:
                ballast.write(_MIB)
        # The last pages, too: the smallest write must fail.
        with contextlib.suppress(OSError), (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            while True:
                ballast.write(_MIB[:4096])

    def free(self) -> None:
        """Give it back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def leave(self) -> None:
        """Unmount it, and leave what was on it in the folder below."""
        self.free()
        kept = self.folder.with_name(f"{self.folder.name}.kept")
        shutil.copytree(self.folder, kept)
        subprocess.run(("umount", "-l", self.folder), check=True, capture_output=True)
        self.folder.rmdir()
        kept.rename(self.folder)


def own_mounts() -> str:
    """Keep what is mounted from now on to this process and its children, so that it ends with them; why not, where that is not possible."""
    if not hasattr(os, "unshare"):
        return "this system has no mount namespaces"
    try:
        os.unshare(os.CLONE_NEWNS)
        subprocess.run(("mount", "--make-rprivate", "/"), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no mount namespace of its own ({error}): run it as root"
    return ""
