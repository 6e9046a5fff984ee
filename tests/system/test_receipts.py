"""`ambient up`, a task, its receipt, and the check of that by somebody who has neither a cluster nor this project."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from opentimestamps.core.notary import BitcoinBlockHeaderAttestation
from opentimestamps.core.serialize import StreamDeserializationContext
from opentimestamps.core.timestamp import DetachedTimestampFile

from ambient.cli.exits import Exit
from ambient.client import connect
from ambient.cluster import ClusterPlan, Supervisor
from ambient.doctor import examine
from ambient.errors import TaskUnknown
from ambient.settings import ConnectionSettings
from tests.command import ambient
from tests.documented import documented
from tests.system.logs import GUESTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
async def test_a_task_gets_a_receipt_that_a_stranger_checks(tmp_path: Path) -> None:
    """With the nodes' signed results in it; a changed byte is refused; `anchor.receipt` copied alone is enough to check it."""
    file = tmp_path / "task.receipt"
    plan = ClusterPlan(data=tmp_path / "up", cluster="r", nodes=2, slots=1, anchors=2)
    async with Supervisor(plan) as cluster:
        async with connect(cluster.nats, cluster="r", client="me") as client:
            verdict = await client.run(GUESTS / "add.wasm", 40, 2, entry="add", id="t1", verify="quorum:2/2")
            health = await client.health()
            with pytest.raises(TaskUnknown, match="no verdict of this task is in the log"):
                await client.receipt("nothing")
        where = ("--nats", cluster.nats, "--cluster", "r", "--client", "me")
        wait = ("--wait", "--timeout", "55", *where)
        made = await ambient("receipt", "t1", "--output", str(file), *wait, "--json")
        again = await ambient("receipt", "t1", "--output", str(file), *where)
        found = {each.subject: each for each in await examine(ConnectionSettings(cluster.nats, "r", "me"))}

    assert health.anchor is not None
    assert health.anchor.leading
    assert {health.anchor.name, *(each.name for each in health.standbys)} == {"anchor-1", "anchor-2"}
    assert found["anchor"].detail.startswith(f"{health.anchor.name} leads")
    assert found["anchor standby"].ok
    assert made.returncode == Exit.OK, made.stderr
    [shown] = documented("receipt", made.stdout)
    assert b"2 signed results" in again.stderr
    assert b", final; " in again.stderr
    chain = ("--final", "--network", "regtest", "--extract", str(tmp_path / "out"))
    checked = await ambient("verify", str(file), "--task", "me.t1", "--evidence", *chain, "--json")
    [report] = documented("verify", checked.stdout)

    assert checked.returncode == Exit.OK
    assert report["block"] == shown["block"]
    assert is_stamped(tmp_path / "out" / "leaf")
    assert (report["task"], report["status"]) == ("me.t1", "verified")
    assert sorted(report["nodes"]) == sorted(verdict.nodes)
    other = await ambient("verify", str(file), "--task", "me.t2")
    said = b"broken task: the receipt is of me.t1" in other.stderr
    assert (other.returncode, said) == (Exit.NOT_VERIFIED, True)
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
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert b"proven    Task me.t1 ended as verified" in out
    return process.returncode or 0
