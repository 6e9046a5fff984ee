"""A cluster of real processes under attack from every side that is open to a stranger; it goes on, and says why it refuses."""

import asyncio
import base64
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ambient.audit import audit
from ambient.client import Client
from ambient.cluster import Supervisor
from bus.connection import Bus, Received
from bus.messages import Refused
from bus.wire import decode, decoder, split_lines
from tests.bus.stranger import publish_raw
from tests.system.logs import GUESTS
from tests.system.storm import bad_submissions, garbage

_REFUSED = decoder(Refused)
_ADD = (GUESTS / "add.wasm").read_bytes()
_SPIN = GUESTS / "misbehaving" / "slow.wasm"
_STRANGE_TOKENS = (b"\xff\xfe", b"a\x0bb", b"a\x00b", "ü".encode(), b"*", b">", b"x" * 500)


def good(task_id: str, *args: int) -> dict[str, Any]:
    """A task that adds."""
    digest = hashlib.sha256(_ADD).hexdigest()
    work = {"kind": "wasm", "module": f"sha256:{digest}", "entry": "add", "args": list(args) or [1, 2]}
    return {"id": task_id, "work": work}


@asynccontextmanager
async def unharmed(cluster: Supervisor, client: Client) -> AsyncIterator[None]:
    """What happens inside ends no process, surprises none, breaks no promise, and afterwards a task is verified as ever."""
    await client.run(GUESTS / "add.wasm", 1, 1, entry="add", timeout_s=20)
    pids = {name: running.pid for name, running in cluster.running.items()}
    yield
    verdict = await client.run(GUESTS / "add.wasm", 40, 2, entry="add", verify="quorum:3/3", timeout_s=20)

    assert verdict.value == 42
    assert (await audit(client.bus)).violations == ()
    assert {name: running.pid for name, running in cluster.running.items()} == pids
    logs = await asyncio.to_thread(lambda: list((cluster.plan.data / "logs").iterdir()))
    assert [log.name for log in logs if "Traceback" in log.read_text(errors="replace")] == []


class Listener:
    """What is said on a subject, line by line."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._moved = asyncio.Event()

    async def on(self, message: Received) -> None:
        """Take in one message."""
        self.lines += split_lines(message.data)
        self._moved.set()

    async def count(self, wanted: int, within_s: float = 20) -> None:
        """Wait for so many lines in all."""
        async with asyncio.timeout(within_s):
            while len(self.lines) < wanted:
                self._moved.clear()
                await self._moved.wait()


async def listen(bus: Bus, subject: str) -> Listener:
    """Listen from now on."""
    listener = Listener()
    await bus.subscribe(subject, listener.on)
    await bus.round_trip_ms()
    return listener


async def test_every_bad_submission_is_refused_by_name(shared: Supervisor, client: Client) -> None:
    """Each is answered on `rejected` with the field and what is allowed there, and none becomes a task."""
    async with unharmed(shared, client):
        rejected = await listen(client.bus, client.bus.subjects.rejected("storm"))
        verdicts = await listen(client.bus, client.bus.subjects.done("storm.>"))
        expected = 0
        for at, bad in enumerate(bad_submissions(good("bad"), seed=1)):
            await client.bus.js.publish(client.bus.subjects.submit("storm"), bad.body)
            expected += bad.refusals
            assert bad.refusals, at
        await rejected.count(expected)
        refusals = [decode(line, _REFUSED) for line in rejected.lines]

    assert len(refusals) == expected
    assert all(refusal.limit for refusal in refusals)
    assert {refusal.field for refusal in refusals} >= {
        *("", "id", "work.kind", "work.module", "work.args", "work.entry", "work.input"),
        *(
            "verify.kind",
            "limits.memory_mb",
            "limits.wall_ms",
            "limits.cores",
            "place.region",
            "deadline",
            "priority",
        ),
    }
    assert verdicts.lines == []


async def test_good_lines_among_bad_ones_run(shared: Supervisor, client: Client) -> None:
    """In a batch of a thousand lines each bad one is refused by its place, each good one is verified, once."""
    lines = [json.dumps(good(f"g{n}", n, 1)).encode() for n in range(1_000)]
    bad = {3: b"{", 4: b"\xff", 500: b"[" * 1_000, 501: b'{"id":"g501"}', 999: b"null"}
    bad[700] = json.dumps(good("g1", 7, 7)).encode()  # an id that another line of this batch has
    lines[701] = lines[1]  # a copy is the same task
    for at, line in bad.items():
        lines[at] = line
    async with unharmed(shared, client):
        rejected = await listen(client.bus, client.bus.subjects.rejected("mixed"))
        done = await listen(client.bus, client.bus.subjects.done("mixed"))
        await client.bus.js.publish(client.bus.subjects.submit("mixed"), b"\n".join(lines))
        await rejected.count(len(bad))
        await done.count(1_000 - len(bad) - 1, within_s=30)
        verdicts = [json.loads(line) for line in done.lines]
        refusals = [decode(line, _REFUSED) for line in rejected.lines]

    assert sorted(refusal.source[1] for refusal in refusals) == sorted(bad)
    assert Counter(verdict["task"] for verdict in verdicts) == {
        f"mixed.g{n}": 1 for n in range(1_000) if n not in bad and n != 701
    }
    assert {verdict["task"]: verdict["output"] for verdict in verdicts} == {
        f"mixed.g{n}": base64.b64encode(b"%d" % (n + 1)).decode()
        for n in range(1_000)
        if n not in bad and n != 701
    }


async def test_garbage_on_every_subject_is_survived(shared: Supervisor, client: Client) -> None:
    """Whatever anybody may publish anywhere but in the fenced logs, no process ends and work goes on."""
    names = client.bus.subjects
    subjects = [
        *(names.cancel("storm"), names.results("node-1"), names.results("nobody"), names.telemetry("node-1")),
        *(names.telemetry("nobody"), names.assign("node-1"), names.assign("node-2"), names.done("tester")),
        *(names.done("tester.x"), names.progress("tester.x"), names.rejected("tester"), names.rejected("x")),
        names.blob("mallory", hashlib.sha256(_ADD).hexdigest(), 0),
    ]
    async with unharmed(shared, client):
        for subject in subjects:
            for body in garbage(seed=2):
                await client.bus.publish(subject, body)
        await client.bus.round_trip_ms()


async def test_subjects_that_are_no_text_are_survived(shared: Supervisor, client: Client) -> None:
    """Tokens that are no UTF-8, hold control characters or wildcards reach logs and services, and deafen nobody."""
    subjects = client.bus.subjects
    stems = (subjects.submit, subjects.cancel, subjects.results, subjects.telemetry, subjects.done)
    async with unharmed(shared, client):
        for stem in stems:
            for token in _STRANGE_TOKENS:
                await publish_raw(shared.nats, stem("").encode() + token, b'{"id":"x"}')
        for headers in (b"NATS/1.0", b"N", b"NATS/1.0 \xff\xff\xff\r\n\r\n"):
            for stem in stems:
                await publish_raw(shared.nats, stem("a").encode(), b"{}", headers)


@pytest.mark.parametrize("service", ["coordinator", "verifier"])
async def test_a_bad_question_is_answered(shared: Supervisor, client: Client, service: str) -> None:
    """Every endpoint answers every body, with an error or an answer, and within the time of a good question."""
    endpoints = {
        "coordinator": ("hello", "nodes", "why", "tasks", "health"),
        "verifier": ("verdict", "reputation", "health"),
    }[service]
    async with unharmed(shared, client):
        for endpoint in endpoints:
            for body in (
                *garbage(seed=3),
                b'{"task":"' + b"x" * 800_000 + b'"}',
                b'{"tasks":["a","\\u0000"]}',
            ):
                answer = await client.bus.request_bytes(client.bus.subjects.service(service, endpoint), body)
                json.loads(answer.split(b"\n")[0])
