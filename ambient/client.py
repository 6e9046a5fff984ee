"""The SDK: a client of a cluster that runs WebAssembly on nodes it need not trust and returns verified results.

    async with ambient.connect() as vcp:
        verdict = await vcp.run("primes.wasm", 100_000, entry="count_primes", verify="quorum:2/3")
        print(verdict.output, verdict.nodes)

Guarantees: a submission that was acknowledged ends in exactly one verdict, and this client hands it to the caller once, also if the
notice was lost, came twice, or the server restarted meanwhile. Errors are those of `ambient.errors`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from ambient import mapping
from ambient.courier import Courier
from ambient.errors import BusUnavailable, ClientClosed, LogFull, Rejected, StillOpen, TaskRejected, mapped
from ambient.logs import keep_quiet
from ambient.mapping import DEFAULT_IN_FLIGHT, Items, MapItem, Mapping
from ambient.modules import ModuleSource
from ambient.outstanding import Entry
from ambient.preparation import Preparation, checked_token
from ambient.questions import ClusterHealth, Questions
from ambient.room import Patience
from ambient.settings import resolve
from ambient.storing import Storing
from ambient.submission import Argument, InputLike, TaskOptions
from ambient.task import Task
from ambient.verdict import TaskVerdict
from bus.connection import Bus
from bus.errors import Malformed
from bus.messages import AccountReceiptRequest

if TYPE_CHECKING:
    from anchor.receipt.account_check import AccountReport
    from anchor.receipt.check import Report

__all__ = ["Client", "ClusterHealth", "connect"]


def connect(
    url: str | None = None,
    *,
    cluster: str | None = None,
    client: str | None = None,
    timeout_s: float | None = 5.0,
) -> "Client":
    """A client to use within `async with`.

    Args:
        url: NATS server(s), comma-separated; default: `NATS_URL`, a settings file, a local cluster, or the local port 4222.
        cluster: the cluster's name; default: `AMBIENT_CLUSTER`, a settings file, or `home`.
        client: in whose name to submit, 1 to 64 letters, digits, `_` or `-`; default: `AMBIENT_CLIENT` or the user's name.
        timeout_s: how long to try to reach a server; None: for ever.

    Raises:
        Rejected: a name is no token.
        BusUnavailable: on entering, when no server answers in time.
    """
    try:
        settings = resolve(url, cluster=cluster, client=client)
    except Malformed as error:
        raise Rejected(error.field, error.limit) from None
    return Client(settings.nats, cluster=settings.cluster, client=settings.client, timeout_s=timeout_s)


class Client(Questions):
    """A connection to one cluster in the name of one client. Made by `connect`; for one event loop. `path` is what logs call the way its tasks came in."""

    def __init__(
        self, url: str, *, cluster: str, client: str, timeout_s: float | None = 5.0, path: str = "sdk"
    ) -> None:
        self.url = url
        self.cluster = cluster
        self.name = client
        self._timeout_s = timeout_s
        self._path = path
        self._courier: Courier | None = None
        self._preparation: Preparation | None = None

    def __repr__(self) -> str:
        """Where to, in whose name, and how many tasks are open."""
        state = f"open={len(self._courier.outstanding)}" if self._courier else "closed"
        return f"Client({self.url}, cluster={self.cluster!r}, client={self.name!r}, {state})"

    async def __aenter__(self) -> Self:
        """Connect."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def open(self) -> None:
        """Connect; raises `BusUnavailable`. `async with` does it."""
        if self._courier is not None:
            return
        keep_quiet()
        with mapped():
            bus = await Bus.connect(
                self.url, cluster=self.cluster, name=f"ambient {self.name}", timeout_s=self._timeout_s
            )
        self._courier = Courier(bus, self.name, self._path)
        self._preparation = Preparation(self._courier.blobs, self.name)
        await self._courier.open()

    async def close(self) -> None:
        """Disconnect. Submitted tasks go on; whoever waits for one here gets `ClientClosed`."""
        courier, self._courier, self._preparation = self._courier, None, None
        if courier is not None:
            await courier.close()
            await courier.bus.close()

    @property
    def bus(self) -> Bus:
        """The connection itself, for what the SDK does not offer; raises `ClientClosed`."""
        return self._open_courier().bus

    async def run(
        self,
        module: ModuleSource,
        *args: Argument,
        input: InputLike = b"",  # noqa: A002 -- the contract's own word
        id: str | None = None,  # noqa: A002
        check: bool = True,
        timeout_s: float | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskVerdict:
        """Run a module once and return its verdict, with the whole output.

        Args:
            module: a path, bytes, WAT text or a digest `sha256:…`; uploaded the first time that this client uses it.
            *args: text for a WASI command, numbers for an exported function.
            input: standard input; over 64 KiB it is uploaded, up to 64 MiB.
            id: the task's id, a token. The same id with the same task gives the same verdict, without running it again.
            check: whether a task that was not verified raises; otherwise its verdict is returned like any other.
            timeout_s: how long to wait. The task goes on beyond it.
            **options: see `TaskOptions`: `entry`, `env`, `verify`, `limits`, `place`, `priority`, `deadline`, `max_attempts`, `reward`, `price`.

        Raises:
            TaskFailed, TaskCancelled, TaskExpired: how the task ended, with its `verdict`.
            TaskRejected: the task breaks the contract or an id was used before; see `field` and `limit`.
            ModuleUnusable, MissingExtra: the module cannot be read or compiled here.
            LogFull: the cluster is full, and will be beyond `timeout_s`; without one, `run` waits for room.
            ClusterMissing, BusUnavailable: nothing could be stored, or `timeout_s` passed without a bus.
            StillOpen: no verdict within `timeout_s`.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        entry, task = await self._prepare(module, args, input, id, options)
        storing = Storing(self._open_courier(), Patience(deadline_s))
        try:
            # Not waited for by itself: the time-out is one for all of it, and a verdict may come before the acknowledgement.
            await storing.add(entry, task)
            while True:
                try:
                    left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                    return await task.result(check=check, timeout_s=left_s)
                except LogFull:
                    await storing.finish()
        except StillOpen as error:
            assert timeout_s is not None  # noqa: S101 -- without it there is no time-out
            raise StillOpen(error.task, timeout_s) from None
        finally:
            self._forget(entry)

    async def submit(
        self,
        module: ModuleSource,
        *args: Argument,
        input: InputLike = b"",  # noqa: A002
        id: str | None = None,  # noqa: A002
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Like `run`, but return a handle as soon as the task is durable: from then on it ends in exactly one verdict.

        Where the cluster is full it raises `LogFull` at once, whose `retry_after_s` says when to submit again. While the bus is away it waits.
        """
        courier = self._open_courier()
        entry, task = await self._prepare(module, args, input, id, options)
        await courier.accepting()
        courier.submit(entry)
        try:
            await task.until_stored()
        except asyncio.CancelledError:
            self._forget(entry)
            raise
        return task

    async def submit_many(
        self,
        module: ModuleSource,
        inputs: Iterable[MapItem],
        *,
        timeout_s: float | None = None,
        **options: Unpack[TaskOptions],
    ) -> list[Task]:
        """Submit one task per input (as `map` takes them) and return their handles once all of them are durable.

        What is not durable is bounded, and a full cluster is waited for, up to `timeout_s`. The handles are the caller's; for inputs
        without end use `map`. Raises what `submit` raises; tasks that were stored before an error go on.
        """
        courier, preparation = self._open_parts()
        make = await preparation.maker(module, inputs, options)
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        patience = Patience(deadline_s)
        storing = Storing(courier, patience)
        tasks: list[Task] = []
        try:
            async with asyncio.timeout(timeout_s) as limit:
                for item in inputs:
                    task = Task(courier)
                    made = make(task, len(tasks), item)
                    entry = made if isinstance(made, Entry) else await made
                    task.name = entry.name
                    await storing.add(entry, task)
                    tasks.append(task)
                    if len(tasks) % mapping.YIELD_EVERY == 0:
                        await asyncio.sleep(0)
                await storing.finish()
        except TimeoutError:
            if not limit.expired():
                raise  # the caller's own, out of its iterable
            # Where the last that was heard is a refusal, that is the reason, and it says when to come back.
            raise patience.refusal or BusUnavailable(
                f"not all tasks were durable within {timeout_s:g} s: give it more time, or try `ambient doctor`"
            ) from None
        return tasks

    def map(
        self,
        module: ModuleSource,
        inputs: Items,
        *,
        ordered: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        check: bool = True,
        **options: Unpack[TaskOptions],
    ) -> AsyncGenerator[tuple[int, TaskVerdict], None]:
        """Run a module over many inputs; yields (index of the input, verdict) as results come, or in order.

        Args:
            module: see `run`.
            inputs: any iterable, also asynchronous or endless: bytes or text is standard input, a tuple is arguments.
            ordered: whether results come in the order of the inputs.
            in_flight: how many tasks may be submitted and not yet be handed over.
            check: whether the first task that was not verified raises and ends the map.
            **options: see `TaskOptions`.

        A full cluster slows the map down. Leaving the loop early (`break`, an error) cancels what is in flight; for that to happen
        at once and not when the generator is collected, use `contextlib.aclosing`. Raises what `run` raises.
        """
        return _flat(
            self.chunks(module, inputs, ordered=ordered, in_flight=in_flight, check=check, **options)
        )

    async def chunks(
        self,
        module: ModuleSource,
        inputs: Items,
        *,
        ordered: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        check: bool = True,
        **options: Unpack[TaskOptions],
    ) -> AsyncGenerator[list[tuple[int, TaskVerdict]], None]:
        """Like `map`, but yields lists of all the results there are at the moment: the cheapest way for many small tasks."""
        if in_flight < 1:
            raise TaskRejected("in_flight", f"must be at least 1, not {in_flight}")
        courier, preparation = self._open_parts()
        running = Mapping(courier, inputs, await preparation.maker(module, inputs, options), in_flight)
        chunks = mapping.results(running, ordered=ordered, check=check)
        try:
            async for chunk in chunks:
                running.took(len(chunk))
                yield chunk
        finally:
            await chunks.aclose()

    async def result(
        self, task: str | Task, *, check: bool = True, timeout_s: float | None = None
    ) -> TaskVerdict:
        """The verdict of a task that was submitted before, here or elsewhere: a handle, an id or `<client>.<id>`.

        Raises what `run` raises, and `TaskUnknown` where no such task was ever submitted.
        """
        if isinstance(task, Task):
            return await task.result(check=check, timeout_s=timeout_s)
        courier = self._open_courier()
        handle = Task(courier, self.full_name(task))
        entry = Entry(handle.name, b"", handle)
        courier.expect(entry)
        try:
            return await handle.result(check=check, timeout_s=timeout_s)
        finally:
            courier.forget(entry)

    async def receipt(
        self, task: str | Task, *, wait: bool = False, timeout_s: float | None = None
    ) -> "tuple[bytes, Report]":
        """The receipt of a task as a file's bytes, and what it shows; see `ambient.receipts.fetch_receipt`."""
        from ambient.receipts import fetch_receipt  # noqa: PLC0415 -- most programs want none

        return await fetch_receipt(self.bus, self.full_name(task), wait=wait, timeout_s=timeout_s)

    async def account_receipt(
        self, asked: AccountReceiptRequest, *, wait: bool = False, timeout_s: float | None = None
    ) -> "tuple[bytes, AccountReport]":
        """The receipt of an account as a file's bytes, and what it shows; see `ambient.receipts.fetch_account_receipt`."""
        from ambient.receipts import fetch_account_receipt  # noqa: PLC0415 -- most programs want none

        return await fetch_account_receipt(self.bus, asked, wait=wait, timeout_s=timeout_s)

    async def cancel(self, task: str | Task) -> None:
        """Withdraw a task of this client; it ends as `cancelled` unless another verdict came first. See `Task.cancel`."""
        name = self.full_name(task)
        if not name.startswith(f"{self.name}."):
            raise TaskRejected(
                "task", f"only tasks of client {self.name!r} can be cancelled here, not {name!r}"
            )
        await Task(self._open_courier(), name).cancel()

    async def _prepare(
        self,
        module: ModuleSource,
        args: tuple[Argument, ...],
        content: InputLike,
        task_id: str | None,
        options: TaskOptions,
    ) -> tuple[Entry, Task]:
        courier, preparation = self._open_parts()
        task = Task(courier)
        entry = await preparation.entry(task, task_id, module, args, content=content, options=options)
        task.name = entry.name
        return entry, task

    def full_name(self, task: str | Task) -> str:
        """`<client>.<id>` of a handle, an id or a full name; raises `TaskRejected` for anything else."""
        if isinstance(task, Task):
            return task.name
        client, dot, task_id = task.rpartition(".")
        checked_token("task", task_id)
        return f"{checked_token('client', client)}.{task_id}" if dot else f"{self.name}.{task_id}"

    def _forget(self, entry: Entry) -> None:
        if self._courier is not None:
            self._courier.forget(entry)

    def _open_courier(self) -> Courier:
        return self._open_parts()[0]

    def _open_parts(self) -> tuple[Courier, Preparation]:
        if self._courier is None or self._preparation is None:
            raise ClientClosed(
                "the client is not open: use it within `async with ambient.connect(...) as vcp`"
            )
        return self._courier, self._preparation


async def _flat(
    chunks: AsyncGenerator[list[tuple[int, TaskVerdict]], None],
) -> AsyncGenerator[tuple[int, TaskVerdict], None]:
    try:
        async for chunk in chunks:
            for pair in chunk:
                yield pair
    finally:
        await chunks.aclose()
