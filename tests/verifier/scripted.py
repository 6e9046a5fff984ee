"""A coordinator and nodes that do as a test tells them: raw bus, real signatures, real logs, no service of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from bus.connection import Bus
from bus.messages import (
    Abandoned,
    Assigned,
    Capabilities,
    Enrolled,
    Inconclusive,
    Late,
    Pending,
    Quorum,
    Result,
    Signature,
    Verdict,
    VerdictLine,
    VerdictRequest,
)
from bus.reader import Entry, LogReader
from bus.signing import RESULTS, VERDICTS, Identity, open_signed
from bus.streams import last_sequence
from bus.wire import encode, sha256_hex, split_lines
from verifier.service import run
from verifier.settings import VerifierSettings

TWO_OF_THREE = Quorum(agree=2, of=3)
SPEC, MODULE, INPUT = (sha256_hex(what) for what in (b"spec", b"module", b"input"))
CAPABILITIES = Capabilities(version="1", engine="e", cores=1, memory_mb=1, slots=1)
WAIT_S = 60.0


@cache
def identity(node: str) -> Identity:
    """The same key for the same node in every test."""
    return Identity.from_seed(sha256_hex(node.encode()).encode()[:32])


def assigned(task: str, nodes: Sequence[str], **fields: Any) -> Assigned:
    """An assignment with the fields that a test does not care about filled in."""
    given: dict[str, Any] = {
        "attempt": 1,
        "verify": Signature(),
        "source": (1, 0),
        "path": f"path-of-{task}",
        **fields,
    }
    return Assigned(
        task=task, nodes=tuple(nodes), spec=SPEC, module=MODULE, input=INPUT, lease_ms=1000, **given
    )


def abandoned(task: str, **fields: Any) -> Abandoned:
    """An abandonment, by default a cancellation."""
    given: dict[str, Any] = {
        "status": "cancelled",
        "reason": "cancelled by its client",
        "path": f"path-of-{task}",
        **fields,
    }
    return Abandoned(task=task, source=(1, 0), spec=SPEC, module=MODULE, input=INPUT, **given)


def result(task: str, node: str, output: bytes = b"42", **fields: Any) -> Result:
    """A result that says `output`."""
    given: dict[str, Any] = {"decision": 1, "attempt": 1, "status": "ok", **fields}
    return Result(
        task=task,
        node=node,
        spec=SPEC,
        module=MODULE,
        input=INPUT,
        output=output,
        output_digest=sha256_hex(output),
        output_size=len(output),
        trace=sha256_hex(b"trace" + output),
        fuel=7,
        energy_j=0.5,
        energy_method="estimated:tdp",
        **given,
    )


class Script:
    """Writes ASSIGNMENTS and RESULTS, reads VERDICTS and hears notices. Everything goes through the server."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.lines: list[VerdictLine] = []
        self.notices: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        self._decoder = msgspec.json.Decoder(VerdictLine)
        self._reader = LogReader(bus, "verdicts", self._on_verdicts)

    async def __aenter__(self) -> Self:
        self._reader.start()
        await self.bus.subscribe(self.bus.subjects.done(">"), self._on_notice)
        await self.bus.round_trip_ms()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.stop()

    def _on_verdicts(self, entry: Entry) -> None:
        _, members = open_signed(entry.body, VERDICTS)
        self.lines.extend(map(self._decoder.decode, members))
        self._changed.set()

    async def _on_notice(self, message: Any) -> None:
        self.notices.append((message.subject, message.data))
        self._changed.set()

    async def decide(self, *decisions: Any) -> int:
        """Write one entry of ASSIGNMENTS; return its sequence."""
        body = b"\n".join(map(encode, decisions))
        return (await self.bus.js.publish(self.bus.subjects.assignments, body)).seq

    async def enrol(self, *nodes: str) -> None:
        """Enrol nodes with their own keys."""
        await self.decide(*(Enrolled(node=n, key=identity(n).key, capabilities=CAPABILITIES) for n in nodes))

    async def decide_bytes(self, body: bytes) -> int:
        """Write any bytes as an entry of ASSIGNMENTS."""
        return (await self.bus.js.publish(self.bus.subjects.assignments, body)).seq

    async def enrol_with_key(self, node: str, key: str) -> None:
        """Enrol a node with any key."""
        await self.decide(Enrolled(node=node, key=key, capabilities=CAPABILITIES))

    async def race(self, claims: Sequence[Result]) -> None:
        """Store each claim just before the decision that it answers: both are in the logs, the wrong way round in time."""
        for claim in claims:
            sealed = identity(claim.node).seal(RESULTS, [encode(claim)])
            line = encode(assigned(claim.task, [claim.node]))
            await asyncio.gather(
                self.bus.js.publish(self.bus.subjects.results(claim.node), sealed),
                self.bus.js.publish(self.bus.subjects.assignments, line),
            )

    async def assign(self, task: str, *nodes: str, **fields: Any) -> int:
        """Assign a task; return the decision's sequence."""
        return await self.decide(assigned(task, nodes, **fields))

    async def claim(self, *results: Result, node: str = "", key: Identity | None = None) -> int:
        """Write one signed batch of results; return its sequence in RESULTS."""
        by = node or results[0].node
        body = (key or identity(by)).seal(RESULTS, [encode(r) for r in results])
        return await self.claim_bytes(by, body)

    async def claim_bytes(self, node: str, body: bytes) -> int:
        """Write any bytes as an entry of RESULTS under a node's subject."""
        return (await self.bus.js.publish(self.bus.subjects.results(node), body)).seq

    async def write_verdict(self, task: str, by: Identity) -> None:
        """Write a verdict as another verifier would."""
        line = encode(Verdict(task=task, status="cancelled", reason="written by another"))
        await self.bus.js.publish(self.bus.subjects.verdicts, by.seal(VERDICTS, [line]))

    async def ask_verdicts(self, tasks: Sequence[str]) -> list[Verdict | Pending]:
        """Ask the service, again for what did not fit into one reply."""
        subject = self.bus.subjects.service("verifier", "verdict")
        decoder = msgspec.json.Decoder(Verdict | Pending)
        found: list[Verdict | Pending] = []
        while len(found) < len(tasks):
            body = await self.bus.request_bytes(subject, encode(VerdictRequest(list(tasks[len(found) :]))))
            found += map(decoder.decode, split_lines(body))
        return found

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until `holds()` is true, looking again whenever something was heard."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdicts read so far; fails if a task has two."""
        found: dict[str, Verdict] = {}
        for line in self.lines:
            if isinstance(line, Verdict):
                assert line.task not in found, f"two verdicts for {line.task}"
                found[line.task] = line
        return found

    @property
    def needs(self) -> list[Inconclusive]:
        """The requests for more results read so far."""
        return [line for line in self.lines if isinstance(line, Inconclusive)]

    @property
    def lates(self) -> list[Late]:
        """The late results read so far."""
        return [line for line in self.lines if isinstance(line, Late)]

    async def verdict(self, task: str) -> Verdict:
        """Wait for a task's verdict."""
        await self.until(lambda: task in self.verdicts)
        return self.verdicts[task]

    async def noticed(self, subject: str) -> list[bytes]:
        """Wait for a notice on `done.<subject>` and return the lines of the first."""
        full = self.bus.subjects.done(subject)
        await self.until(lambda: any(s == full for s, _ in self.notices))
        return split_lines(next(body for s, body in self.notices if s == full))

    async def settle(self, node: str = "sentinel") -> None:
        """Wait until all that was claimed before has been judged: a task after it in both logs has its verdict."""
        name = f"me.settled-{await last_sequence(self.bus, 'results')}"
        await self.enrol(node)
        decision = await self.assign(name, node)
        await self.claim(replace(result(name, node), decision=decision))
        await self.verdict(name)


@asynccontextmanager
async def verifying(
    url: str, cluster: str, data: Path, name: str = "v1"
) -> AsyncIterator[asyncio.Task[None]]:
    """A verifier inside this process, stopped in order at the end; its failure fails the test."""
    stop = asyncio.Event()
    settings = VerifierSettings(data=data, url=url, cluster=cluster, name=name)
    task = asyncio.create_task(run(settings, stop=stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)
