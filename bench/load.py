"""A steady stream of tasks out of a process of its own, and an exact account of what became of each.

`Load` starts that process, and may kill it and start it again, as a program that uses the SDK may die: the new one asks for the verdicts of
what its predecessor had submitted, and goes on. A task is submitted at its time whatever became of those before it: a client that
waited for answers would not see that there are none. `resumed_s` says from when on verdicts come as they did before.

    python -m bench.load NATS RATE FIRST FILE      the process: FILE names the tasks to ask for
"""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from ambient.client import Client, connect
from ambient.errors import AmbientError
from ambient.verdict import TaskVerdict
from bench.cluster import GUESTS, run

__all__ = ["CALM_S", "Load", "resumed_s"]

CALM_S = 2.0
"""For so long verdicts must come as they should before they are said to flow again."""
_LOOK_S = 0.5
"""The stretch in which verdicts are counted."""
_SUBMITTED, _JUDGED, _FAILED = "submitted", "judged", "failed"


class _Event(msgspec.Struct, array_like=True):
    """What the process says of a task: its number, when (s since 1970), and where it did not work the reason."""

    what: str
    number: int
    at: float
    detail: str = ""


_EVENT = msgspec.json.Decoder(_Event)


def resumed_s(verdicts: Sequence[float], hit_at: float, per_s: float, now: float) -> float | None:
    """How long after `hit_at` the first verdict came from which on, for `CALM_S`, every half second brought at least half as many as before.

    `verdicts` are the times at which they came, in order, `per_s` their rate before, all times in seconds. None where `now` is too early to say.
    """
    first = bisect_left(verdicts, hit_at)
    since: float | None = None
    for at in range(first, len(verdicts)):
        came = verdicts[at]
        if came + _LOOK_S > now:
            break
        enough = bisect_left(verdicts, came + _LOOK_S) - at >= per_s * _LOOK_S / 2
        since = (came if since is None else since) if enough else None
        if since is not None and came - since >= CALM_S - _LOOK_S:
            return since - hit_at
    return None


class Load:
    """`per_s` tasks a second on the cluster `bench` at `nats`. Use as an async context manager: it ends when all of them have a verdict."""

    def __init__(self, nats: str, folder: Path, *, per_s: float) -> None:
        self.per_s = per_s
        self.submitted: set[int] = set()
        self.judged: Counter[int] = Counter()
        self.judged_at: dict[int, float] = {}
        self.verdicts: list[float] = []
        self.failed: list[str] = []
        self._nats = nats
        self._file = folder / "open-tasks"
        self._process: asyncio.subprocess.Process | None = None
        self._hearing: asyncio.Task[None] | None = None

    @property
    def open(self) -> set[int]:
        """The tasks that are acknowledged, and whose verdict did not come."""
        return self.submitted - self.judged.keys()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill what is left of it."""
        self.kill()
        if self._hearing is not None:
            await self._hearing

    async def start(self) -> None:
        """Start the process, or its successor: it submits tasks that are new, and asks for those that are open."""
        if self._hearing is not None:
            await self._hearing  # all that its predecessor said
        self._file.write_text(" ".join(map(str, sorted(self.open))))
        # What was stored and not acknowledged may be there as well; a number is never used for two tasks.
        first = max(self.submitted, default=-1) + 10_000
        command = (
            sys.executable,
            "-m",
            "bench.load",
            self._nats,
            str(self.per_s),
            str(first),
            str(self._file),
        )
        self._process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        self._hearing = asyncio.create_task(self._hear(self._process), name="load")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def finish(self, *, within_s: float) -> None:
        """Submit no more, and wait until what is open is done, or the time is over."""
        assert self._process is not None  # noqa: S101 -- started before
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
        self.kill()
        assert self._hearing is not None  # noqa: S101 -- started with it
        await self._hearing

    def rate_of(self, last_s: float) -> float:
        """Verdicts per second lately."""
        now = time.time()
        return (len(self.verdicts) - bisect_left(self.verdicts, now - last_s)) / last_s

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 -- asked for
        while line := await process.stdout.readline():
            with contextlib.suppress(msgspec.DecodeError):  # the last line of one that was killed
                self._note(_EVENT.decode(line))
        await process.wait()

    def _note(self, event: _Event) -> None:
        if event.what == _SUBMITTED:
            self.submitted.add(event.number)
        elif event.what == _JUDGED:
            self.judged[event.number] += 1
            self.judged_at.setdefault(event.number, event.at)
            self.verdicts.append(event.at)
        else:
            self.failed.append(f"task {event.number}: {event.detail}")


async def _submit_and_wait(nats: str, per_s: float, first: int, numbers: Sequence[int]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with connect(nats, cluster="bench", client="bench") as client, asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(_await(number, client.result(f"t{number}")))
        begun = time.monotonic()
        for number in itertools.count():
            pause = begun + number / per_s - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause)):
                    await stop.wait()
            if stop.is_set():
                return
            group.create_task(_submit(client, first + number))


async def _submit(client: Client, number: int) -> None:
    try:
        task = await client.submit(GUESTS / "add.wasm", number, 1, entry="add", id=f"t{number}")
    except AmbientError as error:
        _tell(_FAILED, number, str(error))
        return
    _tell(_SUBMITTED, number)
    await _await(number, task.result())


async def _await(number: int, verdict: Coroutine[Any, Any, TaskVerdict]) -> None:
    try:
        value = (await verdict).value
    except AmbientError as error:
        _tell(_FAILED, number, str(error))
        return
    is_right = value == number + 1
    _tell(_JUDGED if is_right else _FAILED, number, "" if is_right else f"{number} + 1 is not {value}")


def _tell(what: str, number: int, detail: str = "") -> None:
    # Not through a buffer, which would be lost with the process.
    os.write(1, msgspec.json.encode(_Event(what, number, time.time(), detail)) + b"\n")


if __name__ == "__main__":
    nats, rate, begin, file = sys.argv[1:]
    run(
        _submit_and_wait(
            nats, float(rate), int(begin), [int(each) for each in Path(file).read_text().split()]
        )
    )
