"""`ambient up`, a task, its receipt, and the check of that by somebody who has neither a cluster nor this project."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import StreamDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from ambient.cli.exits import Exit
from ambient.client import connect
from ambient.cluster import ClusterPlan, Supervisor
from tests.system.logs import GUESTS

ROOT = Path(__file__).resolve().parents[2]


async def ambient(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ambient", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_task_gets_a_receipt_that_a_stranger_checks(tmp_path: Path) -> None:
    """With the nodes' signed results in it; a changed byte is refused; `anchor.receipt` copied alone is enough to check it."""
    file = tmp_path / "task.receipt"
    plan = ClusterPlan(data=tmp_path / "up", cluster="r", nodes=3, slots=1, anchors=2)
    async with Supervisor(plan) as cluster:
        where = ("--nats", cluster.nats, "--cluster", "r", "--client", "me")
        async with connect(cluster.nats, cluster="r", client="me") as client:
            verdict = await client.run(GUESTS / "add.wasm", 40, 2, entry="add", id="t1", verify="quorum:2/3")
            health = await client.health()
        unknown = await ambient("receipt", "nothing", "--output", str(file), *where)
        made = await ambient("receipt", "t1", "--output", str(file), "--wait", "--timeout", "55", *where)
        doctor = await ambient("doctor", *where)

    assert health.anchor is not None
    assert health.anchor.leading
    assert {health.anchor.name, *(each.name for each in health.standbys)} == {"anchor-1", "anchor-2"}
    assert "no verdict of this task is in the log" in unknown[2]
    assert unknown[0] == Exit.USAGE
    assert made[0] == Exit.OK, made[2]
    assert f"{len(verdict.nodes)} signed results" in made[2]
    assert "✓ anchor" in doctor[1]
    assert ", final; " in made[2]
    stamped = tmp_path / "leaf"
    chain = ("--final", "--network", "regtest", "--ots", str(stamped))
    checked = await ambient("verify", str(file), "--task", "me.t1", "--evidence", *chain, "--json")
    report = json.loads(checked[1])

    assert checked[0] == Exit.OK
    assert is_stamped(stamped)
    assert (report["task"], report["status"], sorted(report["nodes"])) == (
        "me.t1",
        "verified",
        sorted(verdict.nodes),
    )
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "changed").write_bytes(data)
    changed = await ambient("verify", str(tmp_path / "changed"))
    assert (changed[0], "its check sum does not hold" in changed[2]) == (Exit.NOT_VERIFIED, True)
    assert await alone(tmp_path, file) == 0


def is_stamped(leaf: Path) -> bool:
    """Whether the stock OpenTimestamps library reads the proof beside a file, and it is that file's and Bitcoin's."""
    with leaf.with_name(leaf.name + ".ots").open("rb") as proof, leaf.open("rb") as file:
        read = DetachedTimestampFile.deserialize(StreamDeserializationContext(proof))
        [(_, attestation)] = read.timestamp.all_attestations()
        is_file = bool(read.file_hash_op.hash_fd(file) == read.file_digest)
        return is_file and isinstance(attestation, BitcoinBlockHeaderAttestation)


async def alone(tmp_path: Path, file: Path) -> int:
    """The exit code of the check where there is nothing of this project but the package `anchor.receipt`."""
    package = tmp_path / "elsewhere" / "anchor" / "receipt"
    shutil.copytree(ROOT / "anchor" / "receipt", package)
    (package.parent / "__init__.py").touch()
    program = "import sys; sys.path[0] = sys.argv.pop(1); from anchor.receipt.__main__ import main; sys.exit(main())"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path / "elsewhere"), str(file), "--task", "me.t1"),
        cwd=tmp_path,
        env={"PYTHONSAFEPATH": ""},
        stdout=subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert b"proven    Task me.t1 ended as verified" in out
    return process.returncode or 0
