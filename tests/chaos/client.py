"""One client of the cluster, a process of its own: submits errand after errand through the SDK, and writes down what it was told.

Guarantees that everything is in its journal before it goes on. Started again after it was killed, it submits anew what was not
acknowledged, under the same ids, and asks for the verdicts of the rest. Once the file `stop` is in its folder it
submits nothing new, waits for what is open, writes `finished` and waits to be ended.
"""

import argparse
import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from ambient.client import Client, connect
from ambient.errors import AmbientError, LogFull
from ambient.task import Task
from ambient.verdict import TaskVerdict
from tests.chaos.errands import Errand, errand
from tests.chaos.journal import (
    Acknowledged,
    Begun,
    Entry,
    Finished,
    Heard,
    Journal,
    Refused,
    Submitted,
    Trouble,
    now_s,
)

__all__ = ["JOURNAL", "STOP"]

JOURNAL, STOP = "journal", "stop"
_AGAIN_S = 1.0


class Errands:
    """Runs errands at a client, at a pace, and keeps the journal."""

    def __init__(self, client: Client, journal: Journal, *, seed: int, pace_s: float, most_open: int) -> None:
        self._client = client
        self._journal = journal
        self._seed = seed
        self._pace_s = pace_s
        self._room = asyncio.Semaphore(most_open)
        self._deadlines: dict[str, str] = {}
        self._acknowledged: set[str] = set()
        self._heard: set[str] = set()
        for entry in journal.entries:
            self._remember(entry)

    async def run(self, stop: Path) -> None:
        """Go on with what is open, and then from the next errand on, until there is the file `stop`; wait for all of it."""
        number = len(self._deadlines)
        async with asyncio.TaskGroup() as group:
            for name in self._deadlines.keys() - self._heard:
                group.create_task(self._run(errand(self._seed, self._client.name, int(name[1:]))))
            while not stop.exists():  # noqa: ASYNC240 -- a look at a local folder
                await self._room.acquire()
                task = group.create_task(self._run(errand(self._seed, self._client.name, number)))
                task.add_done_callback(lambda _: self._room.release())
                number += 1
                await asyncio.sleep(self._pace_s)

    async def _run(self, what: Errand) -> None:
        """To the verdict, whatever it takes."""
        while what.id not in self._heard:
            try:
                await self._once(what)
            except AmbientError as error:
                self._write(Trouble(now_s(), what.id, f"{type(error).__name__}: {error}"))
                await asyncio.sleep(_AGAIN_S)

    async def _once(self, what: Errand) -> None:
        if what.id in self._acknowledged:
            task: Task | str = what.id
        else:
            task = await self._submit(what)
            self._write(Acknowledged(now_s(), what.id))
            if what.cancelled:
                await self._with_room(what, task.cancel)
        self._hear(what, await self._client.result(task, check=False))
        if what.asked_again:
            self._hear(what, await (await self._submit(what)).result(check=False), again=True)

    async def _submit(self, what: Errand) -> Task:
        """Until it is durable."""
        options: dict[str, Any] = {**what.options, "deadline": self._deadline(what)}

        async def submit() -> Task:
            self._write(Submitted(now_s(), what.id, self._deadlines[what.id]))
            return await self._client.submit(what.module, *what.args, input=what.input, id=what.id, **options)

        return await self._with_room(what, submit)

    async def _with_room[T](self, what: Errand, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again, when that was told, for as long as there is no room."""
        while True:
            try:
                return await ask()
            except LogFull as error:
                self._write(Refused(now_s(), what.id, str(error)))
                await asyncio.sleep(error.retry_after_s)

    def _deadline(self, what: Errand) -> dt.datetime | None:
        """Noted with the submission: another deadline under the same id would be another task."""
        noted = self._deadlines.get(what.id)
        if noted is None:
            due = what.deadline_s and dt.datetime.now(dt.UTC) + dt.timedelta(seconds=what.deadline_s)
            noted = self._deadlines[what.id] = due.isoformat() if due else ""
        return dt.datetime.fromisoformat(noted) if noted else None

    def _hear(self, what: Errand, verdict: TaskVerdict, *, again: bool = False) -> None:
        digest = sha256(verdict.output).hexdigest()
        self._write(Heard(now_s(), what.id, verdict.wire, digest, again=again))

    def _write(self, entry: Entry) -> None:
        self._journal.write(entry)
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        match entry:
            case Submitted():
                self._deadlines[entry.id] = entry.deadline
            case Acknowledged():
                self._acknowledged.add(entry.id)
            case Heard():
                self._heard.add(entry.id)


async def main(arguments: Iterable[str] | None = None) -> None:
    """Run until killed."""
    asked = _arguments(arguments)
    asked.data.mkdir(parents=True, exist_ok=True)
    journal = Journal(asked.data / JOURNAL)
    journal.write(Begun(now_s()))
    async with connect(asked.nats, cluster=asked.cluster, client=asked.name, timeout_s=None) as client:
        errands = Errands(client, journal, seed=asked.seed, pace_s=asked.pace_s, most_open=asked.most_open)
        try:
            await errands.run(asked.data / STOP)
        except Exception as error:
            journal.write(Trouble(now_s(), "", f"{type(error).__name__}: {error}"))
            raise
        journal.write(Finished(now_s()))
        await asyncio.Event().wait()


def _arguments(arguments: Iterable[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.client", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--nats", required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the journal")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--pace-s", type=float, default=0.1, help="between two submissions")
    parser.add_argument("--most-open", type=int, default=300)
    return parser.parse_args(None if arguments is None else list(arguments))


if __name__ == "__main__":
    asyncio.run(main())
