"""The SDK without `async`: for notebooks, scripts and whoever has no event loop.

    with ambient.connect_sync() as vcp:
        print(vcp.run("primes.wasm", 100_000, entry="count_primes").text)

Guarantees the same as `ambient.client`, whose every call it makes on an event loop in a thread of its own. Calls may come from any
thread but that one: an iterable of inputs must not call the client that it feeds.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, Self, Unpack

from ambient.client import Client, connect
from ambient.errors import ClientClosed
from ambient.mapping import DEFAULT_IN_FLIGHT, MapItem
from ambient.modules import ModuleSource
from ambient.questions import ClusterHealth
from ambient.submission import Argument, InputLike, TaskOptions
from ambient.task import Task
from ambient.verdict import TaskVerdict
from anchor.receipt.account_check import AccountReport
from anchor.receipt.check import Report
from bus.messages import (
    AccountReceiptRequest,
    BalanceReply,
    DrainReply,
    EnergyReply,
    NodeView,
    Ordered,
    OrderReply,
    PurseReply,
    TaskState,
    TaskView,
    WhyReply,
)

__all__ = ["SyncClient", "SyncTask", "connect_sync"]

_WIND_UP_S = 5.0


def connect_sync(
    url: str | None = None,
    *,
    cluster: str | None = None,
    client: str | None = None,
    timeout_s: float | None = 5.0,
) -> "SyncClient":
    """A client to use within `with`; see `ambient.connect` for the arguments and what they default to."""
    return SyncClient(connect(url, cluster=cluster, client=client, timeout_s=timeout_s))


class SyncTask:
    """One submitted task; see `ambient.Task`."""

    def __init__(self, client: "SyncClient", task: Task) -> None:
        self._client = client
        self._task = task
        self.name = task.name

    def __repr__(self) -> str:
        """As of the handle within."""
        return f"Sync{self._task!r}"

    @property
    def done(self) -> bool:
        """Whether `result` would return or raise at once."""
        return self._task.done

    def result(self, *, check: bool = True, timeout_s: float | None = None) -> TaskVerdict:
        """Wait for the verdict; see `ambient.Task.result`."""
        return self._client.call(self._task.result(check=check, timeout_s=timeout_s))

    def cancel(self) -> None:
        """Withdraw the task; see `ambient.Task.cancel`."""
        self._client.call(self._task.cancel())

    def why(self) -> WhyReply:
        """Where the task stands; see `ambient.Task.why`."""
        return self._client.call(self._task.why())


class SyncClient:
    """A connection to one cluster, with blocking calls. Made by `connect_sync`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        """As of the client within."""
        return f"Sync{self._client!r}"

    def __enter__(self) -> Self:
        """Connect."""
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def open(self) -> None:
        """Connect; raises `BusUnavailable`. In a notebook: call it in one cell and `close` in the last."""
        if self._loop is not None:
            return
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ambient", daemon=True)
        self._thread.start()
        try:
            self.call(self._client.open())
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """Disconnect. Submitted tasks go on."""
        if self._loop is None:
            return
        try:
            self.call(self._client.close())
        finally:
            self._end()

    def call[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this client's loop and wait for it; an interrupt (ctrl-C) cancels it."""
        if self._loop is None:
            work.close()
            raise ClientClosed(
                "the client is not open: use it within `with ambient.connect_sync(...) as vcp`"
            )
        if threading.current_thread() is self._thread:
            work.close()
            raise ClientClosed(
                "this client's own thread must not wait for it: use `ambient.connect` in async code"
            )
        ended = threading.Event()

        async def working() -> T:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(working(), self._loop)
        try:
            return future.result()
        except BaseException:
            if not future.done():
                # Interrupted. What is called next (closing, mostly) must not meet this call while it winds up.
                future.cancel()
                ended.wait(_WIND_UP_S)
            raise

    def run(
        self,
        module: ModuleSource,
        *args: Argument,
        input: InputLike = b"",  # noqa: A002 -- the contract's own word
        id: str | None = None,  # noqa: A002
        check: bool = True,
        timeout_s: float | None = None,
        **options: Unpack[TaskOptions],
    ) -> TaskVerdict:
        """Run a module once and return its verdict; see `ambient.Client.run`."""
        return self.call(
            self._client.run(module, *args, input=input, id=id, check=check, timeout_s=timeout_s, **options)
        )

    def submit(
        self,
        module: ModuleSource,
        *args: Argument,
        input: InputLike = b"",  # noqa: A002
        id: str | None = None,  # noqa: A002
        **options: Unpack[TaskOptions],
    ) -> SyncTask:
        """Return a handle as soon as the task is durable; see `ambient.Client.submit`."""
        return SyncTask(self, self.call(self._client.submit(module, *args, input=input, id=id, **options)))

    def map(
        self,
        module: ModuleSource,
        inputs: Iterable[MapItem],
        *,
        ordered: bool = False,
        in_flight: int = DEFAULT_IN_FLIGHT,
        check: bool = True,
        **options: Unpack[TaskOptions],
    ) -> Iterator[tuple[int, TaskVerdict]]:
        """Run a module over many inputs, which the client's thread draws; see `ambient.Client.map`."""
        chunks = self._client.chunks(
            module, inputs, ordered=ordered, in_flight=in_flight, check=check, **options
        )

        async def following() -> list[tuple[int, TaskVerdict]]:
            return await anext(chunks, [])

        try:
            while chunk := self.call(following()):
                yield from chunk
        finally:
            if self._loop is not None:
                self.call(chunks.aclose())

    def result(
        self, task: str | SyncTask, *, check: bool = True, timeout_s: float | None = None
    ) -> TaskVerdict:
        """The verdict of an earlier task; see `ambient.Client.result`."""
        return self.call(self._client.result(_name(task), check=check, timeout_s=timeout_s))

    def cancel(self, task: str | SyncTask) -> None:
        """Withdraw a task; see `ambient.Client.cancel`."""
        self.call(self._client.cancel(_name(task)))

    def why(self, task: str | SyncTask) -> WhyReply:
        """Where a task stands; see `ambient.Client.why`."""
        return self.call(self._client.why(_name(task)))

    def nodes(self) -> list[NodeView]:
        """The nodes as the coordinator sees them."""
        return self.call(self._client.nodes())

    def drain(self, node: str, *, finish_s: float | None = None) -> DrainReply:
        """Let a node have no more work, and say how far it is; see `ambient.Client.drain`."""
        return self.call(self._client.drain(node, finish_s=finish_s))

    def undrain(self, node: str) -> DrainReply:
        """Let a node have work again; see `ambient.Client.undrain`."""
        return self.call(self._client.undrain(node))

    def tasks(
        self, *, client: str | None = None, state: TaskState | None = None, limit: int = 100
    ) -> list[TaskView]:
        """The newest tasks; see `ambient.Client.tasks`."""
        return self.call(self._client.tasks(client=client, state=state, limit=limit))

    def balance(self, account: str, *, proof: bool = False) -> BalanceReply:
        """What an account received and gave; see `ambient.Client.balance`."""
        return self.call(self._client.balance(account, proof=proof))

    def purse(self, client: str) -> PurseReply:
        """What is held of a client's deposit, and what is free; see `ambient.Client.purse`."""
        return self.call(self._client.purse(client))

    def energy(self, account: str, *, month: str = "", proof: bool = False) -> EnergyReply:
        """What an account's month took in energy; see `ambient.Client.energy`."""
        return self.call(self._client.energy(account, month=month, proof=proof))

    def order(self, ordered: Ordered) -> OrderReply:
        """Have an operator's order carried out; see `ambient.Client.order`."""
        return self.call(self._client.order(ordered))

    def receipt(
        self, task: str | Task, *, wait: bool = False, timeout_s: float | None = None
    ) -> tuple[bytes, Report]:
        """The receipt of a task; see `ambient.Client.receipt`."""
        return self.call(self._client.receipt(task, wait=wait, timeout_s=timeout_s))

    def account_receipt(
        self, asked: AccountReceiptRequest, *, wait: bool = False, timeout_s: float | None = None
    ) -> tuple[bytes, AccountReport]:
        """The receipt of an account; see `ambient.Client.account_receipt`."""
        return self.call(self._client.account_receipt(asked, wait=wait, timeout_s=timeout_s))

    def health(self) -> ClusterHealth:
        """Who leads the cluster; see `ambient.Client.health`."""
        return self.call(self._client.health())

    def _end(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _name(task: str | SyncTask) -> str:
    return task if isinstance(task, str) else task.name
