"""The pool: runs jobs in slots, and keeps their crashes, hangs and growth away from everything else.

Guarantees, for each job submitted: its callback is called exactly once with an outcome, unless it was cancelled; a
slot that dies costs the job it was running (`fault/crash`, or `fault/wall` if it hung) and no other: those queued at
it run elsewhere, once. A dead slot is replaced, with growing pauses if it keeps dying. Every module is compiled
once, apart from the slots, within bounds of time and memory.

It leaves to others: retrying on other machines, persistence, and fairness between clients. All methods belong to the
thread of the event loop, which must live as long as the pool: on Linux a slot dies with the thread that started it.
Decisions are in `sandbox.dispatch`; here is the plumbing around them.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from sandbox import wire
from sandbox.compilation import Compilation
from sandbox.configuration import CONFIGURATION
from sandbox.dispatch import Dispatcher, Ticket
from sandbox.errors import CompilerFailed, PoolBroken, UnfitModule
from sandbox.job import MEMORY_MB_MAX, Job, Outcome, fault
from sandbox.process import SlotProcess
from sandbox.store import ModuleStore
from sandbox.trace import refusal
from sandbox.work import Spent, Work

Done = Callable[[Outcome], None]
NOTHING = msgspec.Raw()

LOOK_S = 0.1
"""How often running jobs are looked at while there are any."""
SLOW_S = 0.05
"""A job that runs this long gets what waits behind it taken away."""
STOP_S = 0.3
"""A cancelled guest that still runs after this long is ended with its slot."""
START_S = 30.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
HEALTHY_S = 10.0
"""A slot that lived this long is replaced without a pause."""
NATIVE_MB = 1024
"""What a slot may use beyond its guest's memory: the engine, loaded modules, inputs and outputs."""
UNFIT_KEPT = 1024


class Pool:
    """A number of slots over one store of modules."""

    def __init__(
        self,
        store: ModuleStore,
        slots: int,
        *,
        grace_ms: int = 2_000,
        compile_s: float = 30.0,
        compile_memory_mb: int = 3_072,
    ) -> None:
        """Prepare a pool; `start` starts it.

        Args:
            store: where modules lie and their compiled forms are kept; may be shared with other pools.
            slots: jobs that run at the same time.
            grace_ms: how long past its `wall_ms` a guest may resist interruption before its slot is killed.
            compile_s: time for compiling one module.
            compile_memory_mb: memory for compiling one module.
        """
        if slots < 1:
            raise ValueError(f"a pool needs at least 1 slot, not {slots}")
        self._store = store
        self._grace_s = grace_ms / 1000
        self._dispatcher = Dispatcher(slots)
        self._processes: list[SlotProcess | None] = [None] * slots
        self._compilation = Compilation(store, timeout_s=compile_s, memory_mb=compile_memory_mb)
        self._compiled: set[str] = set()
        self._unfit: dict[str, UnfitModule] = {}
        self._compiling: dict[str, list[Ticket]] = {}
        self._open: dict[int, Ticket] = {}
        self._stopping: dict[int, float] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispatch_soon = False
        self._look: asyncio.TimerHandle | None = None
        self._cpu_ended = 0.0
        self._work = Work(slots)
        self._closed = False

    def __repr__(self) -> str:
        return f"<Pool {len(self._open)} open, {self._dispatcher!r}>"

    async def start(self) -> None:
        """Start every slot and wait until all are ready.

        Raises:
            PoolBroken: a slot did not come up.
        """
        self._loop = asyncio.get_running_loop()
        starts = (self._start_slot(slot) for slot in range(len(self._processes)))
        results = await asyncio.gather(*starts, return_exceptions=True)
        for failure in filter(None, results):
            await self.close()
            raise failure

    def submit(self, job: Job, on_done: Done) -> Ticket:
        """Queue a job; `on_done` is called with its outcome from the event loop, never from within this call."""
        ticket = Ticket(next(self._numbers), job, NOTHING, on_done)
        self._open[ticket.number] = ticket
        try:
            ticket.raw = wire.encode_job(job)
        except (OverflowError, UnicodeEncodeError):
            error = UnfitModule(
                "args", "has an integer beyond 64 bits, text that is not valid Unicode, or too many bytes"
            )
            self._loop.call_soon(self._finish, ticket, refusal(job, error))
            return ticket
        if self._closed:
            self._loop.call_soon(self._finish, ticket, fault("unavailable", "the pool is closed"))
        elif job.module in self._compiled:
            self._queue(ticket)
        elif job.module in self._unfit:
            self._loop.call_soon(self._finish, ticket, refusal(job, self._unfit[job.module]))
        elif self._store.has_artefact(job.module, CONFIGURATION):
            self._compiled.add(job.module)
            self._queue(ticket)
        else:
            self._compile_for(ticket)
        return ticket

    async def run(self, job: Job) -> Outcome:
        """Run one job and wait for it; cancelling the wait cancels the job."""
        future: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        ticket = self.submit(job, done)
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(ticket)
            raise

    def cancel(self, ticket: Ticket) -> bool:
        """Give a job up: it is dropped, or stopped if it runs; its callback is not called any more.

        Returns:
            Whether it was still open.
        """
        if self._open.pop(ticket.number, None) is None:
            return False
        ticket.unwanted = True
        if not self._dispatcher.drop(ticket) and ticket.slot is not None:
            process = self._processes[ticket.slot]
            if process is not None:
                process.order(wire.STOP, ticket.number)
                self._stopping[ticket.number] = time.monotonic() + STOP_S
                self._keep_looking()
        return True

    def cpu_seconds(self) -> float:
        """CPU time of all slots and compilers so far, those that ended included."""
        pages = (p.page.read()[2] for p in self._processes if p is not None and p.page is not None)
        return self._cpu_ended + self._compilation.cpu_seconds + sum(pages)

    def work(self) -> Spent:
        """What slots and compilers did so far."""
        return Spent(self._work.busy_s(time.monotonic()), self._work.losses, self._compilation.cpu_seconds)

    def pids(self) -> list[int]:
        """Process ids of the slots that are up."""
        pairs = zip(self._processes, self._dispatcher.ready, strict=True)
        return [process.pid for process, ready in pairs if process is not None and ready]

    async def close(self) -> None:
        """End every process; jobs still open are answered `fault/unavailable`."""
        self._closed = True
        if self._look is not None:
            self._look.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for slot, process in enumerate(self._processes):
            if process is not None:
                self._processes[slot] = None
                self._cpu_ended += await process.stop()
        await self._compilation.close()
        for ticket in list(self._open.values()):
            self._finish(ticket, fault("unavailable", "the pool was closed before the job ended"))

    # Giving out

    def _queue(self, ticket: Ticket) -> None:
        self._dispatcher.add(ticket)
        if not self._dispatch_soon:
            # Once per turn of the loop: jobs submitted together travel together.
            self._dispatch_soon = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_soon = False
        for slot, tickets in self._dispatcher.assign().items():
            process = self._processes[slot]
            if process is not None:
                self._work.given(slot, time.monotonic())
                process.send(tickets)
        self._keep_looking()

    def _finish(self, ticket: Ticket, outcome: Outcome) -> None:
        if self._open.pop(ticket.number, None) is None:
            return
        try:
            ticket.done(outcome)
        except Exception as error:  # noqa: BLE001 - one caller's mistake must not stop the others' jobs
            self._loop.call_exception_handler({"message": f"callback of {ticket} failed", "exception": error})

    def _deliver(self, slot: int, items: list[wire.Up]) -> None:
        back: list[int] = []
        process = self._processes[slot]
        pid = process.pid if process is not None else 0
        for number, outcome in items:
            if outcome is None:
                back.append(number)
                continue
            ticket = self._dispatcher.finish(slot, number, outcome)
            self._stopping.pop(number, None)
            if ticket is None:
                continue
            ticket.pid = pid
            if outcome.reason == "unavailable" and not ticket.retried and not ticket.unwanted:
                # Its artefact is gone or not to be trusted: compile again, once.
                ticket.retried = True
                self._compiled.discard(ticket.job.module)
                self._compile_for(ticket)
            else:
                self._finish(ticket, outcome)
        if back:
            for ticket in self._dispatcher.take_back(slot, back):
                self._stopping.pop(ticket.number, None)
        if not self._dispatcher.at[slot]:
            self._work.empty(slot, time.monotonic())
        self._dispatch()

    # Compiling

    def _compile_for(self, ticket: Ticket) -> None:
        waiting = self._compiling.get(ticket.job.module)
        if waiting is not None:
            waiting.append(ticket)
            return
        self._compiling[ticket.job.module] = [ticket]
        self._spawn(self._compile(ticket.job.module))

    async def _compile(self, digest: str) -> None:
        answer: Callable[[Job], Outcome] | None = None
        try:
            await self._compilation.compile(digest)
            self._compiled.add(digest)
        except UnfitModule as error:
            unfit = error
            self._unfit[digest] = unfit
            if len(self._unfit) > UNFIT_KEPT:
                del self._unfit[next(iter(self._unfit))]
            answer = lambda job: refusal(job, unfit)  # noqa: E731
        except (CompilerFailed, OSError, msgspec.MsgspecError) as error:
            detail = str(error)
            answer = lambda _job: fault("unavailable", detail)  # noqa: E731
        for ticket in self._compiling.pop(digest):
            if ticket.unwanted:
                continue
            if answer is None:
                self._queue(ticket)
            else:
                self._finish(ticket, answer(ticket.job))

    # Slots' lives

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_slot(self, slot: int) -> None:
        process = SlotProcess(lambda items: self._deliver(slot, items), lambda: self._lost(slot))
        self._processes[slot] = process
        await process.start(self._store.path.resolve(), MEMORY_MB_MAX + NATIVE_MB)
        try:
            up = await asyncio.wait_for(asyncio.shield(process.up), START_S)
        except TimeoutError:
            up = False
        if not up:
            raise PoolBroken(
                "a slot's process did not start; its message is on standard error (is the extra [node] installed?)"
            )
        process.started = time.monotonic()
        self._dispatcher.ready[slot] = True
        self._dispatch()

    def _lost(self, slot: int) -> None:
        process = self._processes[slot]
        if process is None or self._closed or not self._dispatcher.ready[slot]:
            return  # it had not come up yet: whoever started it is told
        running = process.page.read()[0] if process.page is not None else 0
        blamed, unwanted = self._dispatcher.lose(slot, running)
        self._work.lost(slot, time.monotonic())
        for ticket in [*blamed, *unwanted]:
            self._stopping.pop(ticket.number, None)
        self._spawn(self._replace(slot, process, blamed))
        self._dispatch()

    async def _replace(self, slot: int, process: SlotProcess, blamed: list[Ticket]) -> None:
        cpu, ending = await process.reap()
        self._cpu_ended += cpu
        for ticket in blamed:
            self._blame(ticket, process, ending)
        pause = 0.0 if time.monotonic() - process.started > HEALTHY_S else BACKOFF_FIRST_S
        while not self._closed:
            await asyncio.sleep(pause)
            try:
                await self._start_slot(slot)
            except (PoolBroken, OSError):
                pause = min(max(pause * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S)
                dead = self._processes[slot]
                if dead is not None:
                    self._cpu_ended += await dead.stop()
                if not any(self._dispatcher.ready):
                    self._give_up_waiting()
            else:
                return

    def _give_up_waiting(self) -> None:
        # No slot is up and none comes up: better elsewhere than never.
        while self._dispatcher.waiting:
            ticket = self._dispatcher.waiting.popleft()
            self._finish(ticket, fault("unavailable", "no slot can be started on this machine"))

    def _blame(self, ticket: Ticket, process: SlotProcess, ending: str) -> None:
        ticket.pid = process.pid
        if process.overdue:
            limit = ticket.job.limits.wall_ms
            outcome = fault(
                "wall", f"ran longer than the {limit} ms that wall_ms allows and could not be interrupted"
            )
        else:
            outcome = fault("crash", f"the process that ran it {ending}")
        self._finish(ticket, outcome)

    # Looking after what runs

    def _keep_looking(self) -> None:
        if self._look is None and not self._closed and any(self._dispatcher.at):
            self._look = self._loop.call_later(LOOK_S, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        now = time.monotonic()
        for slot, process in enumerate(self._processes):
            held = self._dispatcher.at[slot]
            if process is None or process.page is None or not held:
                continue
            number, began, _ = process.page.read()
            ticket = held.get(number)
            if ticket is None:
                continue
            limit_s = ticket.job.limits.wall_ms / 1000 + self._grace_s
            if now - began > limit_s or now > self._stopping.get(number, now):
                process.overdue = True
                process.kill()
            elif now - began > SLOW_S and len(held) > 1:
                process.order(wire.GIVE_BACK)
        self._keep_looking()
