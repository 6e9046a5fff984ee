"""`ambient audit` on real clusters: all holds after a liar and kill -9, whatever is going on; a verdict written by hand is found."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from ambient.cli.exits import Exit
from ambient.client import Client
from ambient.cluster import Supervisor
from bus.connection import Bus
from bus.reader import Entry, LogReader
from bus.signing import VERDICTS, Identity, open_signed
from bus.streams import last_sequence
from tests.command import ambient
from tests.system.logs import GUESTS, Cli, running

_ADD = GUESTS / "add.wasm"
_TASKS = 400
_AUDIT_EVERY_S = 2.0


async def _audit(cluster: Supervisor, *options: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    environment = {**os.environ, "NATS_URL": cluster.nats, "AMBIENT_CLUSTER": cluster.plan.cluster}
    done = await ambient("audit", *options, environment=environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def _load(cluster: Supervisor, client: Client, kills: dict[int, str]) -> None:
    inputs = [(n, 1) for n in range(_TASKS)]
    count = 0
    async for index, verdict in client.map(_ADD, inputs, entry="add", verify="quorum:2/3", in_flight=100):
        assert verdict.value == index + 1
        count += 1
        if victim := kills.pop(count, None):
            cluster.kill(victim)


@pytest.mark.long
async def test_all_holds_after_a_liar_and_kills_and_at_any_moment_between(tmp_path: Path) -> None:
    """A liar votes, a node, the coordinator and the verifier are killed: each audit under load and the one at the end exit 0."""
    options = {"extra_nodes": ("liar",), "node_options": {"liar": ("--fault", "lie")}}
    async with running(tmp_path, **options) as (cluster, client):
        kills = {50: "node-1", 120: "coordinator-1", 200: "verifier-1"}
        loading = asyncio.create_task(_load(cluster, client, kills))
        codes = []
        while not loading.done():
            codes.append((await _audit(cluster))[0])
            await asyncio.wait((loading,), timeout=_AUDIT_EVERY_S)
        await asyncio.wait_for(loading, 90)
        code, out, _ = await _audit(cluster, "--json")

    assert set(codes) == {Exit.OK}
    report = json.loads(out)
    assert (code, report["holds"], report["violations"], report["open"]) == (Exit.OK, True, [], [])
    assert report["verdicts"] == {"verified": _TASKS}
    assert len(report["leaders"]) >= 2


async def test_a_second_verdict_written_by_hand_is_found(tmp_path: Path) -> None:
    """Who writes to VERDICTS of an open server is found out: exit 1, with promise, task and place, and a key that nobody knows."""
    async with running(tmp_path, nodes=1) as (cluster, client):
        task = await client.run(_ADD, 1, 2, entry="add", timeout_s=30)
        before, _, _ = await _audit(cluster)
        signer, line = await _verdict_line(client.bus)
        mallory = Identity.generate()
        forged = line.replace(b'"output_digest"', b'"fuel":7,"output_digest"', 1)
        written = await client.bus.js.publish(client.bus.subjects.verdicts, mallory.seal(VERDICTS, [forged]))
        code, out, err = await _audit(cluster)
        _, told, _ = await _audit(cluster, "--json")

    assert (before, code) == (Exit.OK, Exit.NOT_VERIFIED)
    assert f"one-verdict verdicts {written.seq}, line 0: {task.task}" in out
    assert "broken: one-verdict" in err
    report = json.loads(told)
    assert {"one-verdict"} <= {v["promise"] for v in report["violations"]}
    assert {s["key"] for s in report["signers"]} >= {signer, mallory.key}


async def _verdict_line(bus: Bus) -> tuple[str, bytes]:
    """The key and the line of the first verdict."""
    entries: list[Entry] = []
    reader = LogReader(bus, "verdicts", entries.append)
    reader.start()
    await asyncio.wait_for(reader.reached(await last_sequence(bus, "verdicts")), 60)
    await reader.stop()
    opened = (open_signed(entry.body, VERDICTS) for entry in entries)
    return next((key, line) for key, lines in opened for line in lines if b'"kind":"verdict"' in line)


async def test_the_table_names_every_promise_and_who_wrote(cli: Cli) -> None:
    """On a healthy cluster the command prints a row for each promise, the logs, signers and leaders, and exits 0."""
    await cli("run", str(_ADD), "1", "2", "--entry", "add")
    done = await cli("audit")
    out = done.stdout.decode()

    assert done.returncode == Exit.OK
    assert "one-verdict" in out
    assert "No task has two verdicts." in out
    assert "✗" not in out
    for title in ("read", "signed by", "led by"):
        assert f"\n{title}\n" in out
    assert b"all that is promised holds" in done.stderr
