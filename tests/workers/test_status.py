"""What a node says of itself on its own machine: a health check must see a node that hangs, and not mind a bus that is away."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bus.server import free_port
from tests.workers.scripted import Coordinator, StartNode
from workers.node import StopSwitch, run_node
from workers.settings import NodeSettings
from workers.status import LATE_S, SOCKET, ask, starting, told, verdict


async def asked(folder: Path, *options: str) -> tuple[int, str]:
    """Run the health check as a container does; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers.status",
        *options,
        str(folder),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, said.decode()


async def test_a_node_at_work_is_well_until_it_ends(coordinator: Coordinator, start_node: StartNode) -> None:
    """It names itself and its state; once it has ended nobody answers, and no socket is left behind."""
    node = start_node()
    await coordinator.until(lambda: coordinator.telemetry)
    data = node.settings.data

    assert await asked(data) == (0, "n1 works\n")
    told_of = await asyncio.to_thread(ask, data)
    assert (told_of["connected"], told_of["enrolled"], told_of["open"]) == (True, True, 0)
    assert told_of["beat_age_s"] < LATE_S
    assert await node.stop() == 0
    assert not (data / SOCKET).exists()
    code, said = await asked(data)
    assert (code, "no node answers" in said) == (1, True)


async def test_a_node_without_a_bus_is_alive_but_not_well(tmp_path: Path) -> None:
    """Before it ever reached the bus: who would restart it for that does not; who counts working nodes knows why not this one."""
    switch = StopSwitch()
    nowhere = f"nats://127.0.0.1:{free_port()}"
    settings = NodeSettings(data=tmp_path / "d", id="n1", url=nowhere, cluster="c", bandwidth_mbps=1)
    running = asyncio.create_task(run_node(settings, stop=switch))
    try:
        async with asyncio.timeout(60):
            while not (tmp_path / "d" / SOCKET).exists():
                await asyncio.sleep(0.01)
        code, said = await asked(tmp_path / "d")
        assert (code, "no connection to the bus" in said) == (1, True)
        assert (await asked(tmp_path / "d", "--alive"))[0] == 0
    finally:
        switch.pull()
        await asyncio.wait_for(running, 60)


async def test_a_process_that_hangs_is_not_well(tmp_path: Path) -> None:
    """A stopped process takes the connection and does not answer: that is a failure within seconds, not a wait."""
    said = f"""
import asyncio, pathlib, workers.status as status
async def main():
    async with status.told(pathlib.Path({str(tmp_path)!r}), lambda: status.starting("n1", 1)):
        print("there", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", said, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"there\n"
        assert (await asked(tmp_path, "--alive"))[0] == 0
        os.kill(process.pid, signal.SIGSTOP)
        code, text = await asked(tmp_path, "--alive")
        assert (code, "no node answers" in text) == (1, True)
    finally:
        process.kill()
        await process.wait()


async def test_a_killed_nodes_socket_is_taken_over_whatever_the_length_of_its_path(tmp_path: Path) -> None:
    """SIGKILL leaves the file behind, and data folders are longer than the kernel's 107 bytes."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    for _ in range(2):
        (folder / SOCKET).touch()
        async with told(folder, lambda: starting("n1", 3)):
            assert (await asyncio.to_thread(ask, folder))["slots"] == 3


@pytest.mark.parametrize(
    ("change", "alive", "says"),
    [
        ({}, False, ""),
        ({"state": "safe", "reason": "85 °C"}, False, ""),
        ({"beat_age_s": LATE_S + 1}, True, "restart"),
        ({"connected": False}, False, "bus"),
        ({"connected": False}, True, ""),
        ({"enrolled": False}, False, "coordinator"),
        ({"enrolled": False, "beat_age_s": None}, True, ""),
    ],
)
def test_only_what_the_one_who_asks_could_mend_is_not_well(
    *, change: dict[str, object], alive: bool, says: str
) -> None:
    """Safe mode is a node that protects itself, not a sick one; a loop that does not turn is sick for everybody."""
    status = starting("n1", 1) | {"connected": True, "enrolled": True, "state": "works", "beat_age_s": 1.0}
    found = verdict(status | change, alive=alive)
    assert (says in found) if says else found == ""
