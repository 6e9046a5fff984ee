#!/usr/bin/env python3
"""Does every pinned package that an image may hold have a wheel for 64-bit ARM? `wheels.py` asks the package index.

Guarantees: the pins of the extra `all`, which every image's packages are among, are resolved by pip as on such a machine with the image's
Python, wheels only; nothing is installed. 0 where all are there, 1 where one lacks (pip names it), 3 where no index can be reached:
then nothing was checked. That there are wheels for x86_64 is shown by building the image.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.13"
"""Of Debian 13, on which the images are built."""
PLATFORMS = ("manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
"""Debian 13 has glibc 2.41, so all of these run there."""
UNREACHABLE = ("Could not fetch URL", "Failed to establish a new connection", "name resolution", "Retrying (")


def requirements() -> list[str]:
    """What `all` asks for, with the extras of ours that it names replaced by what these ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, waiting = list(project["dependencies"]), ["all"]
    while waiting:
        for text in project["optional-dependencies"][waiting.pop()]:
            named = Requirement(text)
            if named.name == project["name"]:
                waiting.extend(named.extras)
            else:
                found.append(text)
    return sorted(set(found))


def resolved(architecture: str, wanted: list[str]) -> subprocess.CompletedProcess[str]:
    """What pip makes of `wanted` on that architecture."""
    platforms = [word for name in PLATFORMS for word in ("--platform", f"{name}_{architecture}")]
    with tempfile.TemporaryDirectory() as nowhere:
        return subprocess.run(
            [
                sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--dry-run", "--quiet", "--ignore-installed",
                "--only-binary", ":all:", "--python-version", PYTHON, *platforms, "--target", nowhere,
                "--constraint", str(ROOT / "constraints.txt"), "--report", "-", *wanted,
            ],
            capture_output=True, text=True, check=False, env={**os.environ, "PIP_RETRIES": "1"},
        )  # fmt: skip


def main() -> int:
    """Check, and say what was found."""
    done = resolved("aarch64", requirements())
    if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
        print("no package index can be reached: wheels for ARM were NOT checked", file=sys.stderr)
        return 3
    if done.returncode:
        print(f"not every package has a wheel for aarch64: {done.stderr.strip()}", file=sys.stderr)
        return 1
    names = [item["metadata"]["name"] for item in json.loads(done.stdout)["install"]]
    print(f"  ✓ all {len(names)} packages have wheels for aarch64, Python {PYTHON}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
