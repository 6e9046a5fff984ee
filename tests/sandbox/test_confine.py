"""What a slot's process has given up."""

import ctypes
import json
import os
import socket
import subprocess
import sys

import pytest

from sandbox.process import ROOT

PROBE = """
import json, os, resource, socket, sys
from sandbox.confine import confine
confine(300, int(sys.argv[1]))
found = {"environment": dict(os.environ), "core": resource.getrlimit(resource.RLIMIT_CORE)[0], "nice": os.nice(0)}
try:
    open(sys.argv[2], "wb").write(b"x")
    found["wrote"] = True
except OSError:
    found["wrote"] = False
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[3])), timeout=5).close()
    found["connected"] = True
except OSError:
    found["connected"] = False
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
    """No environment, core file, files, connections or privileges; no more memory than allowed; lower priority."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, "-c", PROBE, str(os.getpid()), str(tmp_path / "file"), port]
        env = {"PYTHONPATH": ROOT, "SECRET": "x"}
        done = subprocess.run(command, env=env, capture_output=True, check=True, timeout=30)
    found = json.loads(done.stdout)

    assert found["environment"] == {}
    assert found["core"] == 0
    assert found["memory"] is False
    assert found["no_new_privs"] is True
    assert found["nice"] > os.nice(0) or os.nice(0) == 19
    if landlock_version() >= 1:
        assert found["wrote"] is False
    if landlock_version() >= 4:
        assert found["connected"] is False


def landlock_version() -> int:
    """Of this kernel; below 1 it has none."""
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


def test_a_process_whose_parent_is_gone_ends():
    """Started too late, it does nothing."""
    command = [sys.executable, "-c", PROBE, "1", "unused"]
    done = subprocess.run(command, env={"PYTHONPATH": ROOT}, capture_output=True, check=False, timeout=30)

    assert (done.returncode, done.stdout) == (0, b"")
