"""What the command says about tasks: where they stand, what they wait for, and that a typing error is none of the guest's."""

import json
from pathlib import Path

import pytest

from ambient.cli.exits import Exit
from ambient.cluster import ClusterFailed, ClusterPlan, Supervisor
from bus.trace import trace_id
from tests.system.logs import GUESTS, Cli

ADD = ("run", str(GUESTS / "add.wasm"), "1", "2", "--entry", "add")


async def test_a_mistyped_option_never_reaches_the_guest(cli: Cli) -> None:
    """`--verfy` must not run a task under the weaker default policy; after `--` everything is the guest's."""
    mistyped = await cli(*ADD, "--verfy", "quorum:2/3")
    negative = await cli("run", str(GUESTS / "add.wasm"), "-5", "2", "--entry", "add")
    meant = await cli("run", str(GUESTS / "upper.wasm"), "--input", "-", "--", "--verfy", stdin=b"x")

    assert mistyped.returncode == Exit.USAGE
    assert b"--verfy" in mistyped.stderr
    assert negative.stdout == b"-3"
    assert (meant.returncode, meant.stdout) == (0, b"X")


async def test_an_argument_that_is_no_number_is_a_usage_error(cli: Cli) -> None:
    """A function takes numbers; anything else is said in one sentence, not as a fault of ours."""
    done = await cli("run", str(GUESTS / "add.wasm"), "one", "2", "--entry", "add")

    assert done.returncode == Exit.USAGE
    assert b"'one'" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_who_waits_is_told_what_for_and_how_to_go_on(cli: Cli) -> None:
    """A task that no node fits says so while it is waited for; the time-out names commands, not functions of the SDK."""
    done = await cli(*ADD, "--id", "far", "--region", "mars", "--timeout", "3.5")
    why = json.loads((await cli("why", "far", "--json")).stdout)
    cancelled = await cli("cancel", "far")
    again = await cli("result", "far")

    assert done.returncode == Exit.TIMEOUT
    assert why["detail"].encode() in done.stderr
    assert b"ambient result cli.far" in done.stderr
    assert cancelled.returncode == Exit.OK
    assert again.returncode == Exit.NOT_VERIFIED
    assert again.stderr.startswith(b"cancelled: ")


async def test_a_command_tells_the_steps_of_its_task_when_asked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, as JSON like the processes' lines, with the same submitter, path and trace; the output is what it was."""
    quiet = await cli(*ADD, "--id", "untold")
    monkeypatch.setenv("AMBIENT_LOG_TASKS", "1")
    done = await cli(*ADD, "--id", "told")
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]

    assert b"asked" not in quiet.stderr
    assert done.stdout == quiet.stdout == b"3"
    assert [line["event"] for line in told] == ["asked", "answered"]
    for line in told:
        assert (line["task"], line["submitter"], line["path"]) == ("cli.told", "cli", "cli")
        assert line["trace_id"] == trace_id("sys", "cli.told")


async def test_what_is_over_or_unknown_is_said(cli: Cli) -> None:
    """Cancelling too late and asking for a task that never was have exit codes of their own."""
    await cli(*ADD, "--id", "over")
    late = await cli("cancel", "over", "--json")
    unknown = await cli("why", "never")

    assert late.returncode == Exit.NOT_VERIFIED
    assert json.loads(late.stdout) == {"task": "cli.over", "asked": False, "state": "verified"}
    assert unknown.returncode == Exit.USAGE
    assert b"cli.never is unknown" in unknown.stdout


async def test_tables_for_a_pipe_are_whole_and_json_has_every_field(cli: Cli) -> None:
    """A script may rely on every figure of a table and on every field of a document, also where it is zero."""
    text = (await cli("nodes")).stdout.decode()
    first = json.loads((await cli("nodes", "--json")).stdout)[0]
    looks = (await cli("watch", "--times", "2", "--every", "0.01", "--json")).stdout.splitlines()

    assert "…" not in text
    assert "node-1  healthy" in text
    assert first["dissented"] >= 0
    assert first["capabilities"]["labels"] == {}
    assert len(looks) == 2
    assert all(
        set(json.loads(look)) == {"health", "nodes", "tasks", "verdicts_per_s", "watts"} for look in looks
    )


async def test_a_cluster_that_nobody_set_up_is_a_finding(cli: Cli) -> None:
    """The doctor names the missing logs and the cure, and does not fail itself."""
    done = await cli("doctor", "--cluster", "nowhere")

    assert done.returncode == Exit.NOT_VERIFIED
    assert b"AVCP_nowhere_TASKS does not exist" in done.stdout
    assert b"AMBIENT_CLUSTER" in done.stdout


async def test_a_folder_in_use_is_left_as_it_is(shared: Supervisor) -> None:
    """A second `up` in one folder is refused, and the first stays to be found there: never two servers on one store."""
    described = (shared.plan.data / "cluster.json").read_bytes()
    for _ in range(2):
        with pytest.raises(ClusterFailed, match="already runs"):
            async with Supervisor(ClusterPlan(data=shared.plan.data)):
                pass

    assert (shared.plan.data / "cluster.json").read_bytes() == described


async def test_a_process_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    """A node that dies whenever it starts fails the cluster within seconds, with the node's own reason; nothing is left."""
    plan = ClusterPlan(data=tmp_path, nodes=1, node_options={"node-1": ("--fault", "nonsense")})
    with pytest.raises(ClusterFailed, match=r"node-1 ends whenever it starts.*fault"):
        async with Supervisor(plan):
            pass

    assert not (tmp_path / "cluster.json").exists()
