"""What a slot's process has given up."""

import json
import os
import subprocess
import sys

import pytest

from sandbox.process import ROOT

PROBE = """
import json, os, resource, sys
from sandbox.confine import confine
confine(300, int(sys.argv[1]))
found = {"environment": dict(os.environ), "core": resource.getrlimit(resource.RLIMIT_CORE)[0], "nice": os.nice(0)}
try:
    open(sys.argv[2], "wb").write(b"x")
    found["wrote"] = True
except OSError:
    found["wrote"] = False
try:
    bytearray(400 << 20)
    found["memory"] = True
except MemoryError:
    found["memory"] = False
with open("/proc/self/status") as file:
    found["no_new_privs"] = "NoNewPrivs:\\t1" in file.read()
print(json.dumps(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the fences tested here are Linux's")
def test_a_confined_process_has_little_left(tmp_path):
    """No environment, no core file, no more memory than allowed, no new privileges, lower priority."""
    command = [sys.executable, "-c", PROBE, str(os.getpid()), str(tmp_path / "file")]
    done = subprocess.run(
        command, env={"PYTHONPATH": ROOT, "SECRET": "x"}, capture_output=True, check=True, timeout=30
    )
    found = json.loads(done.stdout)

    assert found["environment"] == {}
    assert found["core"] == 0
    assert found["memory"] is False
    assert found["no_new_privs"] is True
    assert found["nice"] > os.nice(0) or os.nice(0) == 19
    assert found["wrote"] is (not landlock())


def landlock() -> bool:
    """Whether this kernel can forbid files by Landlock."""
    try:
        with open("/sys/kernel/security/lsm", encoding="ascii") as file:  # noqa: PTH123
            return "landlock" in file.read()
    except OSError:
        return _asks_the_kernel()


def _asks_the_kernel() -> bool:
    import ctypes  # noqa: PLC0415

    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


def test_a_process_whose_parent_is_gone_ends():
    """Started too late, it does nothing."""
    command = [sys.executable, "-c", PROBE, "1", "unused"]
    done = subprocess.run(command, env={"PYTHONPATH": ROOT}, capture_output=True, check=False, timeout=30)

    assert (done.returncode, done.stdout) == (0, b"")
