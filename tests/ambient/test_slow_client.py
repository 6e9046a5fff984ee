"""A client process that stops reading: it costs its server a bounded amount, is cut off, comes back and gets everything."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from bus.connection import Bus
from bus.messages import TaskSpec, Verdict
from bus.server import MAX_PENDING_BYTES, NatsServer
from bus.streams import ensure_streams
from bus.wire import encode, sha256_hex
from tests.ambient.conftest import Answer, ScriptedCluster

_COUNT = 2800
_OUTPUT = bytes(40 * 1024)
"""2,800 verdicts of 53 KiB are more than twice what a server holds for one client."""
_SLACK_BYTES = 2 * MAX_PENDING_BYTES
"""What the server's own collector leaves lying, beside what it holds."""


def long_answer(spec: TaskSpec, name: str) -> Answer:
    output = spec.work.input + b" " + _OUTPUT
    return Verdict(
        task=name, status="verified", output=output, output_digest=sha256_hex(output), output_size=len(output)
    )


async def figures(server: NatsServer, path: str) -> dict[str, Any]:
    """The server's own figures."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.monitor_port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    found: dict[str, Any] = json.loads(body)
    return found


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.long
async def test_a_stopped_client_costs_its_server_little_and_misses_nothing(tmp_path: Path) -> None:
    """SIGSTOP, 148 MB of verdicts for it, SIGCONT: the server held at most `max_pending`, and each verdict came."""
    async with NatsServer(tmp_path) as server, await Bus.connect(server.url) as bus:
        await ensure_streams(bus)
        scripted = ScriptedCluster(bus)
        scripted.script, scripted.holds, scripted.answers_at_most = long_answer, True, 12
        await scripted.start()
        command = (sys.executable, "-m", "tests.ambient.slow_client", server.url, str(_COUNT))
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        assert process.stdout is not None
        try:
            assert await asyncio.wait_for(process.stdout.readline(), 60) == b"submitted\n"
            await scripted.until(lambda: len(scripted.open) == _COUNT)
            process.send_signal(signal.SIGSTOP)
            before, most, pending = resident_bytes(server.pid), 0, 0
            for at, (name, spec) in enumerate(scripted.specs.items()):
                verdict = long_answer(spec, name)
                assert isinstance(verdict, Verdict)
                scripted.give(name, verdict)
                await bus.publish(bus.subjects.done(name), encode(scripted.verdicts[name]))
                if at % 100 == 0:
                    await bus.round_trip_ms()
                    most = max(most, resident_bytes(server.pid))
                    connections = (await figures(server, "/connz"))["connections"]
                    pending = max(pending, *(each["pending_bytes"] for each in connections))
            slow = (await figures(server, "/varz"))["slow_consumers"]
            process.send_signal(signal.SIGCONT)
            said = await asyncio.wait_for(process.stdout.readline(), 120)
        finally:
            process.kill()
            await process.wait()
            await scripted.stop()

    assert said == b"right %d\n" % _COUNT
    assert slow >= 1
    assert MAX_PENDING_BYTES / 4 < pending <= MAX_PENDING_BYTES
    assert most - before < MAX_PENDING_BYTES + _SLACK_BYTES
