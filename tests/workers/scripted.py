"""A scripted coordinator for the other end of a real bus, and nodes that run against it."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec
from wasmtime import wat2wasm

from bus.blobs import Blobs
from bus.connection import Bus, Received
from bus.messages import Assign, Goodbye, Hello, HelloReply, Result, Telemetry
from bus.reader import Entry, LogReader
from bus.signing import GOODBYE, HELLO, RESULTS, TELEMETRY, open_signed
from bus.wire import decode, decoder, encode, encode_all
from workers.node import StopSwitch, run_node
from workers.settings import NodeSettings

PATIENCE_S = 60

ADD = b"""(module (func (export "add") (param i32 i32) (result i32)
  local.get 0 local.get 1 i32.add))"""
ENDLESS = {"fuel": 10**13, "wall_ms": 60_000}
SPIN = b'(module (func (export "spin") (loop br 0)))'
ECHO = b"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $more
      (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
        (br $more))))))"""


class Coordinator:
    """Answers hello, listens to telemetry, reads RESULTS, and sends what the test says."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.refusal = ""
        self.silent = False
        self.hellos: list[tuple[str, Hello]] = []
        self.telemetry: list[tuple[str, Telemetry]] = []
        self.goodbyes: list[Goodbye] = []
        self.results: list[tuple[str, Result]] = []
        self.changed = asyncio.Event()
        self._decisions = itertools.count(1)
        self._reader = LogReader(bus, "results", self._on_result)

    async def start(self) -> None:
        """Answer and listen."""
        await self.bus.subscribe(self.bus.subjects.service("coordinator", "hello"), self._on_hello)
        await self.bus.subscribe(self.bus.subjects.telemetry("*"), self._on_telemetry)
        await self.bus.round_trip_ms()
        self._reader.start()

    async def stop(self) -> None:
        """Read no more."""
        await self._reader.stop()

    async def _on_hello(self, message: Received) -> None:
        key, (line,) = open_signed(message.data, HELLO)
        self.hellos.append((key, decode(line, decoder(Hello))))
        if not self.silent:
            await self.bus.publish(message.reply, encode(HelloReply(ok=not self.refusal, error=self.refusal)))
        self.changed.set()

    async def _on_telemetry(self, message: Received) -> None:
        if b"goodbye" in message.data.partition(b"\n")[0]:
            _, (line,) = open_signed(message.data, GOODBYE)
            self.goodbyes.append(decode(line, decoder(Goodbye)))
        else:
            key, (line,) = open_signed(message.data, TELEMETRY)
            self.telemetry.append((key, decode(line, decoder(Telemetry))))
        self.changed.set()

    def _on_result(self, entry: Entry) -> None:
        key, lines = open_signed(entry.body, RESULTS)
        self.results.extend((key, decode(line, decoder(Result))) for line in lines)
        self.changed.set()

    async def until(self, fact: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        """Wait until `fact` holds; it is looked at whenever something arrives, and every 20 ms."""
        async with asyncio.timeout(patience_s):
            while not fact():
                self.changed.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self.changed.wait()
                except TimeoutError:
                    continue

    async def upload(self, data: bytes) -> str:
        """Store a blob; returns its digest."""
        return await Blobs(self.bus, "client").put(data)

    async def upload_text(self, text: bytes) -> str:
        """Store a module given as text."""
        return await self.upload(bytes(wat2wasm(text)))

    async def compiled_spin(self) -> str:
        """A module that node `n1` need not fetch or compile any more: given to a free slot, it is begun at once."""
        spin = await self.upload_text(SPIN)
        await self.until(lambda: self.telemetry)
        short = self.spec(spin, entry="spin", limits={"fuel": 1000})
        await self.tell("n1", self.assignment("me.warm", short))
        await self.until(lambda: self.results)
        await self.until(lambda: self.open() == ())
        return spin

    def spec(self, module: str, **work: Any) -> bytes:
        """A submission as a client writes it."""
        limits = work.pop("limits", {})
        return json.dumps(
            {"work": {"kind": "wasm", "module": f"sha256:{module}", **work}, "limits": limits}
        ).encode()

    def adding(self, task: str, module: str, a: int, b: int) -> Assign:
        """An attempt at the sum of two numbers."""
        return self.assignment(task, self.spec(module, entry="add", args=[a, b]))

    def assignment(self, task: str, spec: bytes, attempt: int = 1) -> Assign:
        """The delivery of an attempt."""
        return Assign(
            decision=next(self._decisions),
            task=task,
            attempt=attempt,
            lease_ms=30_000,
            spec=msgspec.Raw(spec),
        )

    async def tell(self, node: str, *instructions: Any) -> None:
        """Send instructions to a node."""
        await self.bus.publish(self.bus.subjects.assign(node), encode_all(instructions))

    def result(self, task: str) -> Result:
        """The one result of a task."""
        (found,) = [result for _, result in self.results if result.task == task]
        return found

    def open(self) -> tuple[str, ...]:
        """What the newest telemetry lists."""
        return self.telemetry[-1][1].open


class RunningNode:
    """A node in this process."""

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self.switch = StopSwitch()
        self.task = asyncio.create_task(run_node(settings, stop=self.switch))

    async def ended(self) -> int:
        """The exit code."""
        return await asyncio.wait_for(asyncio.shield(self.task), PATIENCE_S)

    async def stop(self) -> int:
        """Drain."""
        self.switch.pull()
        return await self.ended()


StartNode = Callable[..., RunningNode]
