"""`--json` on a cluster that runs: every answer is what docs/cli.md says; and what is live is so only on terminals."""

import asyncio
import json
import os
import pty
import re
import sys

import msgspec

from ambient.cli.answers import ANSWERS, fields
from ambient.cli.looks import looks
from ambient.client import Client
from ambient.cluster import Supervisor
from tests.system.logs import GUESTS, Cli

ADD = (str(GUESTS / "add.wasm"), "1", "2", "--entry", "add")
CALLS = {
    "run": ("run", *ADD, "--id", "told"),
    "result": ("result", "told"),
    "submit": ("submit", *ADD, "--id", "asked"),
    "cancel": ("cancel", "told"),
    "why": ("why", "told"),
    "tasks": ("tasks",),
    "nodes": ("nodes",),
    "top": ("top", "--times", "2", "--every", "0.2"),
    "watch": ("watch", "--times", "2", "--every", "0.2"),
    "health": ("health",),
    "doctor": ("doctor",),
    "node drain": ("node", "drain", "node-3"),
    "node undrain": ("node", "undrain", "node-3"),
}
"""In this order; a node's status, a server of one's own and its users need no cluster, and have tests of their own."""
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


async def test_every_answer_has_the_fields_that_are_documented(cli: Cli) -> None:
    """Read as the documented type, and with every documented field there, also those at their default."""
    assert set(CALLS) == {each for each in ANSWERS if not each.startswith("user ")} - {
        "server",
        "node status",
        "backup",
        "restore",
    }
    for command, call in CALLS.items():
        done = await cli(*call, "--json")
        answer = ANSWERS[command]
        lines = done.stdout.splitlines()

        assert len(lines) == (2 if answer.a_line_each else 1), (command, done.stderr)
        for line in lines:
            msgspec.json.decode(line, type=answer.type)
            documented = {field for field, _ in next(iter(fields(answer).values()))}
            told = json.loads(line)
            for member in told if isinstance(told, list) else [told]:
                assert documented - {"kind"} <= set(member), command


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
    coloured = await on_terminal(shared)
    plain = await on_terminal(shared, NO_COLOR="1")

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
