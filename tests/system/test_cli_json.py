"""`--json` on a cluster that runs: every answer is what docs/cli.md says; and what is live is so only on terminals."""

import asyncio
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from ambient.cli.answers import ANSWERS
from ambient.cli.exits import Exit
from ambient.cli.looks import looks
from ambient.cli.output import print_json
from ambient.client import Client
from ambient.cluster import Supervisor
from ambient.demo.stage import Stage
from tests.command import started
from tests.documented import documented
from tests.system.logs import GUESTS, Cli

ADD = (str(GUESTS / "add.wasm"), "1", "2", "--entry", "add")
LOOKS = ("--times", "2", "--every", "0.05")
CALLS = {
    "run": ("run", *ADD, "--id", "told"),
    "result": ("result", "told"),
    "submit": ("submit", *ADD, "--id", "asked"),
    "cancel": ("cancel", "told"),
    "why": ("why", "told"),
    "tasks": ("tasks",),
    "nodes": ("nodes",),
    "top": ("top", *LOOKS),
    "watch": ("watch", *LOOKS),
    "check": ("check", *ADD),
    "health": ("health",),
    "doctor": ("doctor",),
    "audit": ("audit",),
    "node drain": ("node", "drain", "node-3"),
    "node undrain": ("node", "undrain", "node-3"),
    "node status": ("node", "status", "--data", "{data}/node-1"),
    "token create": ("token", "create", "ci", "--tokens", "{tmp}/tokens.json"),
    "token list": ("token", "list", "--tokens", "{tmp}/tokens.json"),
    "token": ("token", "--tokens", "{tmp}/tokens.json"),
    "token revoke": ("token", "revoke", "ci", "--tokens", "{tmp}/tokens.json"),
}
"""In this order."""
ELSEWHERE = {"balance", "energy", "credit", "burn", "verify", "receipt", "up", "server", "demo"}
IN_TURN = {"user", "user list", "user add", "user remove", "backup", "restore"}
"""The same, by a function that is given the command's name."""
"""What needs an anchor, or is a cluster of its own: their answers are compared where they are tested, `documented` with the command's name."""
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
ERRORS = {
    ("run", "--priority", "high", *ADD): (Exit.USAGE, "--priority"),
    ("run", "no-such.wasm"): (Exit.USAGE, ""),
    ("run", str(GUESTS / "misbehaving" / "net.wasm")): (Exit.REFUSED, "work.module"),
    ("cancel", "others.task"): (Exit.REFUSED, "task"),
    ("run", *ADD, "--region", "mars", "--timeout", "0.2"): (Exit.TIMEOUT, ""),
    ("node", "drain", "kitchen"): (Exit.USAGE, "node"),
    ("node", "status", "--data", "{tmp}"): (Exit.UNAVAILABLE, ""),
    ("token", "revoke", "nobody", "--tokens", "{tmp}/t.json"): (Exit.USAGE, "NAME"),
    ("verify", "{tmp}"): (Exit.USAGE, "FILE"),
    ("credit", "me", "1", "--key", "{tmp}/none"): (Exit.USAGE, "--key"),
}
"""Command line, exit code, and the field that is named."""


@pytest.mark.long
async def test_every_answer_is_the_one_that_is_documented(
    cli: Cli, shared: Supervisor, tmp_path: Path
) -> None:
    """Of the documented type, with every documented field there, also those at their default, and no other."""
    for command, call in CALLS.items():
        done = await cli(*(word.format(data=shared.plan.data, tmp=tmp_path) for word in call), "--json")
        told = documented(command, done.stdout)

        assert len(told) == (2 if ANSWERS[command].a_line_each else 1), (command, done.stderr)


def test_no_command_is_left_out() -> None:
    """Every command's answer is documented, and compared with the documentation here or where the command is tested."""
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))

    assert set(CALLS) | ELSEWHERE | IN_TURN == set(ANSWERS)
    assert [command for command in ELSEWHERE if f'documented("{command}", ' not in tests] == []


@pytest.mark.parametrize("call", ERRORS, ids=" ".join)
async def test_every_error_is_the_same_document(cli: Cli, tmp_path: Path, call: tuple[str, ...]) -> None:
    """Exit code, its name, the sentence that people get on stderr, and the field at fault where there is one."""
    code, field = ERRORS[call]
    done = await cli(*(word.format(tmp=tmp_path) for word in call), "--json")
    [told] = documented("error", done.stdout)
    said = " ".join(done.stderr.decode().split())

    assert (done.returncode, told["code"], told["reason"], told["field"]) == (code, code, code.word, field)
    assert code is Exit.USAGE or told["error"] in said


async def test_what_the_guest_is_told_is_no_option(cli: Cli) -> None:
    """`--json` behind `--` is the guest's: an error is for people then."""
    done = await cli("run", "no-such.wasm", "--", "--json")

    assert (done.returncode, done.stdout) == (Exit.USAGE, b"")


async def test_a_server_says_where_it_listens(tmp_path: Path) -> None:
    """As documented, once it does."""
    async with started("server", "--port", "0", "--data", str(tmp_path), "--json") as server:
        told = await server.says(server.out)
        server.child.terminate()
        code = await asyncio.wait_for(server.child.wait(), 60)

    assert documented("server", told)[0]["nats"].startswith("nats://127.0.0.1:")
    assert code == Exit.OK


def test_the_demo_tells_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """Each under its heading, and whether all of them are true."""
    stage = Stage(silent=True)
    stage.heading("First")
    stage.fact("water is wet", holds=True)
    stage.fact("it flows up", holds=False)
    capsys.readouterr()
    print_json(stage.told())
    [told] = documented("demo", capsys.readouterr().out)

    assert not told["ok"]
    assert told["facts"][1] == {"part": "First", "fact": "it flows up", "ok": False}


async def test_watch_counts_what_happens_meanwhile(client: Client) -> None:
    """A verdict that comes after a look is a rate in one of the next, and the task is among the newest; the first look has no rate."""
    seen = looks(client, 0.1, None, tasks=5)
    async with asyncio.timeout(60):
        first = await anext(seen)
        assert first.rates.verdicts_per_s is None
        await client.run(GUESTS / "add.wasm", 1, 2, entry="add", id="seen")
        look = await anext(seen)
        while not look.rates.verdicts_per_s:
            look = await anext(seen)
    assert "tester.seen" in {task.task for task in look.tasks}
    await seen.aclose()


async def test_a_view_is_live_on_a_terminal_and_colours_are_a_choice(shared: Supervisor) -> None:
    """On a terminal the view redraws itself in colour; with NO_COLOR it has none; in a pipe there is no escape at all."""
    coloured, plain = await asyncio.gather(on_terminal(shared), on_terminal(shared, NO_COLOR="1"))

    assert b"verdicts/s" in coloured
    assert b"\x1b[32m" in coloured  # healthy is green
    assert b"node-1" in plain
    assert re.findall(rb"\x1b\[[0-9;]*m", plain.replace(b"\x1b[1m", b"").replace(b"\x1b[0m", b"").replace(b"\x1b[2m", b"")) == []  # bold is no colour  # fmt: skip
    assert ESCAPES.search(coloured.replace(b"\x1b[32m", b"")) is not None  # the cursor moves


async def test_in_a_pipe_there_is_no_escape(cli: Cli) -> None:
    """What is written to a file is text, and no column is cut off."""
    for command in (("watch", "--times", "1"), ("top", "--times", "1"), ("nodes",), ("doctor",)):
        done = await cli(*command)
        assert b"\x1b" not in done.stdout
        assert b"\xe2\x80\xa6 and" not in done.stdout  # nothing is left out


async def on_terminal(shared: Supervisor, **environment: str) -> bytes:
    """What `ambient watch` writes to a terminal of 100 by 40."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ambient", "watch", "--times", "3", "--every", "0.2",
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={
            **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")},
            "NATS_URL": shared.nats, "AMBIENT_CLUSTER": "sys", "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40",
            **environment,
        },
    )  # fmt: skip
    os.close(theirs)
    written = b""
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    written += await asyncio.to_thread(os.read, ours, 65536)
                except OSError:  # the other end is closed: the process has ended
                    break
            await process.wait()
    finally:
        os.close(ours)
    assert process.returncode == 0, written
    return written
