"""`python -m bench.crowd NATS CLUSTER COUNT`: so many nodes that do nothing but say how they are, until it is ended.

Each is enrolled by a signed hello and sends a signed heartbeat every 2 s, spread evenly: 10,000 are 5,000 heartbeats a second. They share a
connection and few keys, and have no inbox: what the coordinator sees of them is what it would see of real ones. How they are changes
slowly, as with real ones; one in fifty protects itself, one in a hundred drains.
"""

import asyncio
import random
import sys
import time

from bus.connection import Bus
from bus.errors import BusError
from bus.messages import Capabilities, Hello, HelloReply, Telemetry
from bus.signing import HELLO, TELEMETRY, Identity
from bus.wire import encode

_EVERY_S = 2.0
_SLICES = 100
_AT_ONCE = 200
_KEYS = 16
_ABLE = Capabilities(version="0", engine="none", cores=4, memory_mb=1, slots=4, arch="simulated")
"""With so little memory no task fits: where there are real nodes beside them, the work is for those."""


class _Crowd:
    def __init__(self, bus: Bus, count: int) -> None:
        self._bus = bus
        self._names = [f"sim-{number:05}" for number in range(count)]
        self._keys = [Identity.from_seed(bytes([number]) * 32) for number in range(_KEYS)]
        self._chance = random.Random(1)  # noqa: S311 -- the same crowd each time
        self._level = [self._chance.random() for _ in range(count)]
        self._mbps = [self._chance.uniform(50, 1000) for _ in range(count)]
        self.sent = 0

    async def enrol(self) -> None:
        """All of them, some at a time."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            hello = encode(Hello(node=self._names[number], capabilities=_ABLE))
            body = self._keys[number % _KEYS].seal(HELLO, [hello])
            async with gate:
                while True:
                    try:
                        reply = await self._bus.request(
                            self._bus.subjects.service("coordinator", "hello"), body, HelloReply, timeout_s=10
                        )
                    except BusError:
                        await asyncio.sleep(0.2)
                        continue
                    if not reply.ok:
                        raise SystemExit(reply.error)
                    return

        await asyncio.gather(*(one(number) for number in range(len(self._names))))

    async def beat(self) -> None:
        """For ever: a hundredth of them every fiftieth of a second."""
        loop = asyncio.get_running_loop()
        due, turn = loop.time(), 0
        while True:
            for number in range(turn, len(self._names), _SLICES):
                await self._say(number)
            turn = (turn + 1) % _SLICES
            due = max(due + _EVERY_S / _SLICES, loop.time() - 1)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _say(self, number: int) -> None:
        level = self._level[number] = min(1.0, max(0.0, self._level[number] + self._chance.gauss(0, 0.05)))
        line = encode(
            Telemetry(
                node=self._names[number],
                at_ms=time.time_ns() // 1_000_000,
                cpu_free=level,
                memory_free=0.3 + level / 2,
                latency_ms=5 + 40 * (1 - level),
                bandwidth_mbps=self._mbps[number],
                safe_mode="86.2 C, 85 are allowed" if number % 50 == 0 else "",
                draining=number % 100 == 1,
                started_ms=1,
            )
        )
        body = self._keys[number % _KEYS].seal(TELEMETRY, [line])
        await self._bus.publish(self._bus.subjects.telemetry(self._names[number]), body)
        self.sent += 1


async def _main(nats: str, cluster: str, count: int) -> None:
    async with await Bus.connect(nats, cluster=cluster, name="crowd") as bus:
        crowd = _Crowd(bus, count)
        await crowd.enrol()
        print("enrolled", flush=True)
        beating = asyncio.create_task(crowd.beat())
        try:
            while not beating.done():
                before = crowd.sent
                await asyncio.sleep(1)
                print(f"sent {crowd.sent - before}", flush=True)
            await beating
        finally:
            beating.cancel()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        uvloop.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
