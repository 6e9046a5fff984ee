"""A short run of chaos on a real cluster: all that is promised holds. And when what it left is tampered with, that is found."""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from bus.connection import Bus
from bus.server import NatsCluster
from bus.signing import VERDICTS, Identity
from tests.chaos.client import JOURNAL
from tests.chaos.journal import Entry, read
from tests.chaos.plan import ROLES
from tests.chaos.run import judge
from tests.chaos.world import CLUSTER

_ROOT = Path(__file__).parents[2]
_SEED, _SECONDS = 13, 8
_MOST_S = 300


def _journals(folder: Path) -> dict[str, list[Entry]]:
    return {name: list(read(folder / "clients" / name / JOURNAL)) for name in ROLES["client"]}


async def test_all_that_is_promised_holds_whatever_is_done_to_the_processes(tmp_path: Path) -> None:
    """Eight seconds of faults of nearly every kind, and then the proof from the disk; a verdict given twice, or taken away, is found there."""
    folder = tmp_path / "left"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos", "--seed", str(_SEED), "--seconds", str(_SECONDS), "--keep", str(folder),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _MOST_S)
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), _MOST_S)
    said = out.decode()

    assert process.returncode == 0, said
    assert "all that is promised holds" in said
    assert f"--seed {_SEED} --seconds {_SECONDS}" in said
    await _tampered_with(folder)


async def _tampered_with(folder: Path) -> None:
    """Whoever owns the server gives one task a second verdict, and takes the verdicts of others away."""
    servers = NatsCluster(folder / "cluster", 1, name=CLUSTER)
    honest, logged = await judge(servers, _journals(folder), _SEED)
    async with servers, await Bus.connect(servers.url, cluster=CLUSTER) as bus:
        stream = bus.subjects.stream("verdicts")
        verdict = msgspec.structs.replace(logged[0].verdict, attempts=77)
        body = Identity.generate().seal(VERDICTS, [msgspec.json.encode(verdict)])
        await bus.js.publish(bus.subjects.verdicts, body)
        await bus.js.delete_msg(stream, logged[-1].sequence)
        gone = {each.verdict.task for each in logged if each.sequence == logged[-1].sequence}
    false, _ = await judge(servers, _journals(folder), _SEED)

    assert honest.holds
    assert not false.holds
    assert {"one-verdict", "whole"} <= set(false.audit.broken())
    assert (logged[0].verdict.task,) == tuple(each.task for each in false.findings if each.rule == "twice")
    assert gone == {each.task for each in false.findings if each.rule == "lost"}
