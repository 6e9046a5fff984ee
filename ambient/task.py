"""A task that was submitted: a handle to wait for it, to cancel it and to ask about it."""

import asyncio

from ambient.courier import Courier
from ambient.errors import AmbientError, BusUnavailable, LogFull, StillOpen, checked, mapped
from ambient.outstanding import Entry
from ambient.verdict import TaskVerdict
from bus.messages import Verdict, WhyReply, WhyRequest

__all__ = ["Task"]


class Task:
    """One submitted task. It will end in exactly one verdict, whether or not anybody keeps this handle."""

    __slots__ = ("_courier", "_outcome", "_stored", "_waiters", "name")

    def __init__(self, courier: Courier, name: str = "") -> None:
        self.name = name
        self._courier = courier
        self._outcome: TaskVerdict | AmbientError | None = None
        self._stored = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def id(self) -> str:
        """The task's id, without the client's name."""
        return self.name.partition(".")[2]

    @property
    def done(self) -> bool:
        """Whether `result` would return or raise at once."""
        return self._outcome is not None

    def __repr__(self) -> str:
        """The name, and how it ended if it has."""
        state = repr(self._outcome) if self._outcome is not None else "open"
        return f"Task({self.name}, {state})"

    async def result(self, *, check: bool = True, timeout_s: float | None = None) -> TaskVerdict:
        """Wait for the verdict.

        Raises `TaskNotVerified` and its children unless `check` is false, `TaskRejected` if the coordinator refused
        the task, `StillOpen` after `timeout_s` (`BusUnavailable` if the bus is gone then), in which case the task goes on.
        """
        await self._wait(timeout_s)
        if isinstance(self._outcome, AmbientError):
            raise self._outcome
        assert self._outcome is not None  # noqa: S101 -- _wait returned
        return checked(self._outcome) if check else self._outcome

    async def cancel(self) -> None:
        """Withdraw the task: it ends in the verdict `cancelled`, unless another one came first.

        Returns once the request is durable; `result(check=False)` then tells which it was. Raises `BusUnavailable`, `LogFull` where there is no room for it.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._courier.cancel(self.id, stored)
        await stored

    async def why(self) -> WhyReply:
        """Where the task stands and why, node by node. Raises `BusUnavailable`."""
        with mapped():
            return await self._courier.bus.request(
                self._courier.bus.subjects.service("coordinator", "why"), WhyRequest(self.name), WhyReply
            )

    async def until_stored(self) -> None:
        """Wait until the submission is durable; raises what kept it from being stored."""
        while not self._stored and self._outcome is None:
            await self._next_event()
        if isinstance(self._outcome, AmbientError):
            raise self._outcome

    @property
    def refused(self) -> bool:
        """Whether it was refused for want of room, so that it may be submitted again."""
        return isinstance(self._outcome, LogFull)

    def reopen(self) -> None:
        """It is submitted again: forget that it was refused."""
        self._outcome = None

    async def _wait(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while self._outcome is None:
                    await self._next_event()
        except TimeoutError:
            assert timeout_s is not None  # noqa: S101 -- without it there is no time-out
            if not self._courier.bus.is_connected:
                raise BusUnavailable(
                    f"no verdict of {self.name} within {timeout_s:g} s, and the bus at {self._courier.bus.url} is gone: "
                    "the client reconnects for ever; ask again, or start the server"
                ) from None
            raise StillOpen(self.name, timeout_s) from None

    async def _next_event(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def stored(self, entry: Entry) -> None:  # noqa: ARG002 -- a Sink's signature
        """See `Sink`."""
        self._stored = True
        self._wake()

    def not_stored(self, entry: Entry, error: AmbientError) -> None:  # noqa: ARG002
        """See `Sink`."""
        self._end(error)

    def settled(self, entry: Entry, verdict: Verdict, output: bytes | None) -> None:  # noqa: ARG002
        """See `Sink`."""
        self._end(TaskVerdict(verdict, output))

    def broken(self, entry: Entry, error: AmbientError) -> None:  # noqa: ARG002
        """See `Sink`."""
        self._end(error)

    def _end(self, outcome: TaskVerdict | AmbientError) -> None:
        self._outcome = outcome
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
