"""Peers of the coordinator for its service tests, on the real bus: nodes and a verifier that do what a test says."""

import asyncio
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bus.blobs import Blobs
from bus.connection import Bus, Received
from bus.errors import BusUnavailable
from bus.messages import (
    Assign,
    CancelAttempt,
    Capabilities,
    Drain,
    EnrolAgain,
    Goodbye,
    Hello,
    HelloReply,
    Inconclusive,
    Result,
    Telemetry,
    Undrain,
    Verdict,
    VerdictStatus,
)
from bus.reader import Entry, LogReader
from bus.signing import GOODBYE, HELLO, RESULTS, TELEMETRY, VERDICTS, Identity
from bus.wire import decode, encode, sha256_hex, split_lines
from bus.writer import FencedWriter

NOTHING = hashlib.sha256(b"").hexdigest()
ADD = bytes.fromhex("0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b")
"""`(func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)`"""
FORBIDDEN = bytes.fromhex(
    "0061736d01000000010401600000020e0103656e7606657363617065000003020100070a01065f737461727400010a040102000b"
)
"""`(import "env" "escape" (func)) (func (export "_start"))`: a way out of the sandbox that is not offered."""
_INSTRUCTION = msgspec.json.Decoder(Assign | CancelAttempt | EnrolAgain | Drain | Undrain)


class FastClock:
    """Time that runs `speed` times as fast, so that a node is dead after a second and nobody sleeps."""

    def __init__(self, speed: float = 10.0) -> None:
        self.speed = speed
        self.begun = time.time()

    def __call__(self) -> float:
        """Seconds since the epoch, as this clock has them."""
        return self.begun + (time.time() - self.begun) * self.speed


async def eventually[T](fact: Callable[[], T], timeout_s: float = 60.0) -> T:
    """Wait until `fact()` is true, and return it."""
    async with asyncio.timeout(timeout_s):
        while not (value := fact()):
            await asyncio.sleep(0.005)
        return value


async def until(ask: Callable[[], Awaitable[object]], wanted: object, timeout_s: float = 60.0) -> None:
    """Ask until the answer is `wanted`; a service that does not answer yet is asked again."""
    found: object = None
    try:
        async with asyncio.timeout(timeout_s):
            while found != wanted:
                try:
                    found = await ask()
                except BusUnavailable as error:
                    found = error
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{wanted!r} was expected, not {found!r}") from None


class Node:
    """A node that enrols, beats and does what `answers` says: True to answer what it is given at once."""

    def __init__(
        self, bus: Bus, name: str, *, answers: bool = True, slots: int = 2, beat_s: float = 0.1
    ) -> None:
        self.bus, self.name, self.answers, self.slots, self.beat_s = bus, name, answers, slots, beat_s
        self.identity = Identity.generate()
        self.got: list[Assign] = []
        self.cancelled: list[CancelAttempt] = []
        self.open: dict[str, Assign] = {}
        self.deaf = False
        self.draining = False
        self.region: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._subscription: Any = None

    async def start(self) -> "Node":
        """Enrol, and beat from now on."""
        self._subscription = await self.bus.subscribe(
            self.bus.subjects.assign(self.name), self._on_instruction
        )
        assert (await self.hello()).ok
        self._tasks.append(asyncio.create_task(self._beat()))
        return self

    async def hello(self, **changes: Any) -> HelloReply:
        """Ask in, until a leader answers."""
        capabilities = Capabilities(
            version="1",
            engine="scripted",
            cores=4,
            memory_mb=8192,
            slots=self.slots,
            region=self.region,
            **changes,
        )
        body = self.identity.seal(HELLO, [encode(Hello(node=self.name, capabilities=capabilities))])
        subject = self.bus.subjects.service("coordinator", "hello")
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.bus.request(subject, body, HelloReply)
                except BusUnavailable:  # nobody leads yet
                    await asyncio.sleep(0.02)

    async def die(self) -> None:
        """Be silent from now on, as a killed process is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._subscription is not None:
            await self._subscription.unsubscribe()
            self._subscription = None

    async def leave(self) -> None:
        """Say goodbye, handing back what is open."""
        body = self.identity.seal(GOODBYE, [encode(Goodbye(node=self.name, handed_back=tuple(self.open)))])
        await self.die()
        await self.bus.publish(self.bus.subjects.telemetry(self.name), body)

    async def _beat(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(self.beat_s)

    async def beat(self) -> None:
        """Send one heartbeat."""
        telemetry = Telemetry(
            node=self.name,
            at_ms=int(time.time() * 1000),
            cpu_free=0.9,
            memory_free=0.9,
            latency_ms=1.0,
            bandwidth_mbps=900.0,
            open=tuple(self.open),
            draining=self.draining,
        )
        body = self.identity.seal(TELEMETRY, [encode(telemetry)])
        await self.bus.publish(self.bus.subjects.telemetry(self.name), body)

    async def _on_instruction(self, message: Received) -> None:
        answering = []
        for line in split_lines(message.data):
            told = decode(line, _INSTRUCTION)
            if isinstance(told, CancelAttempt):
                self.cancelled.append(told)
                self.open.pop(f"{told.task}#{told.attempt}", None)
            elif isinstance(told, Drain | Undrain):
                self.draining = isinstance(told, Drain)
            elif isinstance(told, Assign):
                self.got.append(told)
                if self.deaf:
                    continue
                self.open[f"{told.task}#{told.attempt}"] = told
                answering.append(told)
        if self.answers and answering:
            await self.answer(*answering)

    async def answer(self, *assigned: Assign, status: str = "ok", output: bytes = b"42") -> None:
        """Claim a result for each, in one signed message."""
        lines = []
        for one in assigned:
            spec = json.loads(bytes(one.spec))
            result = Result(
                decision=one.decision,
                task=one.task,
                attempt=one.attempt,
                node=self.name,
                status=status,  # type: ignore[arg-type]
                spec=sha256_hex(bytes(one.spec)),
                module=spec["work"]["module"][7:],
                input=NOTHING,
                output_digest=sha256_hex(output),
                trace=NOTHING,
                output=output,
                wall_ms=1.0,
            )
            lines.append(encode(result))
            self.open.pop(f"{one.task}#{one.attempt}", None)
        await self.bus.js.publish(self.bus.subjects.results(self.name), self.identity.seal(RESULTS, lines))


class Verifier:
    """Writes verdicts: on the first result of each task if `judges`, and whatever a test tells it to."""

    def __init__(self, bus: Bus, *, judges: bool = True, last: int = 0) -> None:
        self.bus, self.judges = bus, judges
        self.identity = Identity.generate()
        self.results: dict[str, list[Result]] = defaultdict(list)
        self.judged: list[str] = []
        self._reader = LogReader(bus, "results", self._on_results)
        self._writer: FencedWriter[str] = FencedWriter(
            bus,
            bus.subjects.stream("verdicts"),
            bus.subjects.verdicts,
            last=last,
            on_durable=lambda _, names: self.judged.extend(names),
            seal=lambda lines: self.identity.seal(VERDICTS, lines),
        )
        self._done: set[str] = set()

    def start(self) -> "Verifier":
        """Read RESULTS from now on."""
        self._reader.start()
        self._writer.start()
        return self

    async def stop(self) -> None:
        """Read and write no more."""
        await self._reader.stop()
        await self._writer.stop()

    def write(self, line: Any, name: str) -> None:
        """Write a line about the task `name`."""
        self._writer.append(encode(line), name)

    def verdict(self, name: str, status: VerdictStatus = "verified", **more: Any) -> None:
        """Write the verdict of a task, once."""
        if name not in self._done:
            self._done.add(name)
            self.write(Verdict(task=name, status=status, **more), name)

    def inconclusive(self, name: str, **more: Any) -> None:
        """Ask for more results."""
        self.write(Inconclusive(task=name, **more), "")

    def _on_results(self, entry: Entry) -> None:
        for line in split_lines(entry.body)[1:]:
            result = msgspec.json.decode(line, type=Result)
            self.results[result.task].append(result)
            if self.judges and result.status != "fault":
                self.verdict(
                    result.task, spec=result.spec, agree=(result.node,), evidence=((entry.sequence, 0),)
                )


class Client:
    """Submits and hears what comes back."""

    def __init__(self, bus: Bus, name: str = "me") -> None:
        self.bus, self.name = bus, name
        self.rejected: list[dict[str, Any]] = []
        self.progress: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []

    async def start(self, *modules: bytes) -> "Client":
        """Listen, and store these modules."""
        for subject, into in (
            (self.bus.subjects.rejected(self.name), self.rejected),
            (self.bus.subjects.progress(f"{self.name}.>"), self.progress),
            (self.bus.subjects.done(f"{self.name}.>"), self.done),
        ):
            await self.bus.subscribe(subject, self._into(into))
        for module in modules:
            await Blobs(self.bus, self.name).put(module)
        return self

    @staticmethod
    def _into(heard: list[dict[str, Any]]) -> Callable[[Received], Any]:
        async def on_message(message: Received) -> None:
            heard.extend(map(json.loads, split_lines(message.data)))

        return on_message

    async def submit(self, *specs: dict[str, Any] | bytes) -> int:
        """Submit these in one message; returns its sequence."""
        lines = [spec if isinstance(spec, bytes) else json.dumps(spec).encode() for spec in specs]
        return (await self.bus.js.publish(self.bus.subjects.submit(self.name), b"\n".join(lines))).seq

    async def cancel(self, task_id: str) -> None:
        """Withdraw a task."""
        await self.bus.js.publish(self.bus.subjects.cancel(self.name), json.dumps({"id": task_id}).encode())


def task(task_id: str | None = None, module: bytes = ADD, **more: Any) -> dict[str, Any]:
    """A TaskSpec as a client writes it: 40 + 2."""
    work = {"kind": "wasm", "module": "sha256:" + sha256_hex(module), "entry": "add", "args": [40, 2]}
    work.update(more.pop("work", {}))
    return {**({"id": task_id} if task_id else {}), "work": work, **more}
