#!/usr/bin/env python3
"""Assemble the file system of an image: `assemble.py EXTRAS TARGET`, run while an image is built (deploy/Containerfile).

Guarantees: TARGET gets the interpreter with its standard library, the distribution with EXTRAS and the pinned versions of what it
needs, every shared library that any of it is linked with, certificates, a user of uid 1000 with the folder /data, and a bill of
materials of exactly that; and nothing else, so no shell. A package without a wheel for this architecture, and a library that is
not to be found, end the build with its name.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from sbom import bill_of_materials

VENV = Path("/opt/ambient")
WHEELS = Path("/wheel")
STDLIB = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = (
    "ensurepip",
    "venv",
    "idlelib",
    "turtledemo",
    "pydoc_data",
    "test",
    "lib2to3",
    "__pycache__",
    "tkinter",
)
"""Parts of the standard library that no process of ours imports: installers, an editor, documentation, tests."""
LEFT_OUT_MODULES = re.compile(
    r"(readline|_curses|_curses_panel|_dbm|_gdbm|_tkinter|_test\w*|xxlimited\w*|_xx\w+)\."
)
"""Extension modules that would bring libraries of terminals and databases with them."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NEEDED = re.compile(r"(?:=> )?(/\S+) \(0x")
ELF = b"\x7fELF"


def main(extras: str, target: Path) -> None:
    """Install, collect, compile, list."""
    install(extras)
    copied = [*interpreter(target), *tree(VENV, target, left_out=())]
    libraries(copied, target)
    user(target)
    compileall.compile_dir(
        target / STDLIB.relative_to("/"), quiet=2, stripdir=target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )  # fmt: skip
    compileall.compile_dir(
        target / VENV.relative_to("/"), quiet=2, stripdir=target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )  # fmt: skip
    listed = target / "usr/share/doc/ambient-vcp"
    listed.mkdir(parents=True)
    (listed / "sbom.cdx.json").write_text(bill_of_materials(VENV, target))
    shutil.copy("LICENSE", listed)


def install(extras: str) -> None:
    """The distribution's own wheel with `extras`, into a virtual environment that has no pip."""
    (wheel,) = WHEELS.glob("*.whl")
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(VENV)], check=True)
    subprocess.run(
        [
            str(Path(sys.executable).with_name("pip")), "--python", str(VENV / "bin/python"), "--disable-pip-version-check",
            "install", "--quiet", "--no-cache-dir", "--no-compile", "--only-binary", ":all:", "--constraint", "constraints.txt",
            f"{wheel}[{extras}]",
        ],
        check=True,
    )  # fmt: skip


def interpreter(target: Path) -> Iterator[Path]:
    """The interpreter, its standard library and the certificates."""
    for link in ("bin", "lib", "lib64"):  # merged /usr: programs name their loader by the old path
        if Path("/", link).is_symlink():
            target.mkdir(exist_ok=True)
            (target / link).symlink_to(Path("/", link).readlink())
    real = Path("/usr/bin/python3").resolve()
    yield copy(real, target)
    (target / "usr/bin/python3").symlink_to(real.name)
    yield from tree(STDLIB, target, left_out=LEFT_OUT)
    copy(CERTIFICATES.resolve(), target)
    for name in ("/etc/os-release", "/etc/nsswitch.conf"):
        if Path(name).exists():
            copied = copy(Path(name).resolve(), target)
            linked = target / name.lstrip("/")
            if copied != linked:
                linked.parent.mkdir(parents=True, exist_ok=True)
                linked.symlink_to(os.path.relpath(copied, linked.parent))


def tree(folder: Path, target: Path, *, left_out: Iterable[str]) -> Iterator[Path]:
    """Copy a folder with its links, but for what is left out; yields the files."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in left_out]
        for name in (*files, *(name for name in folders if Path(place, name).is_symlink())):
            if not (left_out and LEFT_OUT_MODULES.match(name)):
                yield copy(Path(place, name), target)


def copy(path: Path, target: Path) -> Path:
    """Copy one file, or a link as a link, to the same place below `target`."""
    copied = target / path.relative_to("/")
    copied.parent.mkdir(parents=True, exist_ok=True)
    if not copied.is_symlink() and not copied.exists():
        shutil.copy2(path, copied, follow_symlinks=False)
    return copied


def libraries(copied: Iterable[Path], target: Path) -> None:
    """Every library that one of the files is linked with and that is not there yet, by its name and as its file."""
    for path in copied:
        if path.is_symlink() or not path.is_file() or path.read_bytes()[:4] != ELF:
            continue
        original = Path("/", path.relative_to(target))
        told = subprocess.run(["ldd", str(original)], capture_output=True, text=True, check=False).stdout
        if "not found" in told:
            raise SystemExit(f"{original} needs a library that is not here:\n{told}")
        for needed in NEEDED.findall(told):
            place = Path(os.path.realpath(Path(needed).parent)) / Path(needed).name
            if not str(place).startswith(str(VENV)):
                copy(place, target)
                if place.is_symlink():
                    copy(place.resolve(), target)


def user(target: Path) -> None:
    """Who runs it, and where they may write."""
    (target / "etc").mkdir(exist_ok=True)
    (target / "etc/passwd").write_text(
        "root:x:0:0:root:/:/nonexistent\nambient:x:1000:1000:Ambient VCP:/data:/nonexistent\n"
    )
    (target / "etc/group").write_text("root:x:0:\nambient:x:1000:\n")
    for folder, mode in (("tmp", 0o1777), ("proc", 0o755), ("sys", 0o755), ("dev", 0o755)):
        (target / folder).mkdir(exist_ok=True)
        (target / folder).chmod(mode)
    data = target / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 1000, 1000)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
