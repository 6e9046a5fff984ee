"""Receipts: a task's, asked of the anchor and completed with what the nodes signed; and an account's.

Guarantees that what is handed over passes the check that a stranger makes of it; it is made here, too. Evidence that the logs no longer hold is
left out, and the check says so.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from ambient.errors import BusUnavailable, ReceiptPending, ReceiptUnusable, TaskUnknown, mapped
from anchor.receipt.account_check import AccountReport, check_account
from anchor.receipt.check import Demands, Report, check
from anchor.receipt.container import read_receipt, write_receipt
from anchor.receipt.errors import ReceiptError
from anchor.receipt.statement import Statement
from anchor.receipts import statement_of
from bus.connection import Bus
from bus.errors import BusError
from bus.leader import stored
from bus.messages import AccountReceiptReply, AccountReceiptRequest, ReceiptReply, ReceiptRequest
from bus.wire import MAX_LINES

__all__ = ["fetch_account_receipt", "fetch_receipt"]

_log = structlog.get_logger("ambient")

_EVERY_S = 0.25
"""How often a receipt that is not there yet is asked for: nobody announces it."""


async def fetch_receipt(
    bus: Bus, task: str, *, wait: bool = False, timeout_s: float | None = None
) -> tuple[bytes, Report]:
    """The receipt of `task` (`<client>.<id>`) as a file's bytes, and what it shows.

    With `wait` until there is all that the cluster will have: the verdict, a checkpoint and, where it publishes on Bitcoin, enough blocks;
    for `timeout_s` at most, then for what there is. Raises `TaskUnknown` where no verdict is in the log, `ReceiptPending` where no checkpoint
    covers it yet, `ServiceMissing` where no anchor runs, `ReceiptUnusable` where what it sent is no receipt, else `BusUnavailable`.
    """
    reply = await _reply(bus, task, wait=wait, timeout_s=timeout_s)
    if reply.receipt is None:
        if reply.state == "unknown":
            raise TaskUnknown(f"{task} has no receipt: {reply.said}")
        raise ReceiptPending(f"{task} has no receipt yet: {reply.said}")
    evidence = [await _evidence(bus, *place) for place in reply.evidence]
    try:
        receipt = read_receipt(reply.receipt)
        data = write_receipt(receipt._replace(evidence=tuple(each for each in evidence if each is not None)))
        return data, check(data, Demands(task=task))
    except ReceiptError as error:
        raise ReceiptUnusable(
            f"the anchor sent a receipt that does not hold ({error}): see its log"
        ) from None


async def fetch_account_receipt(
    bus: Bus, asked: AccountReceiptRequest, *, wait: bool = False, timeout_s: float | None = None
) -> tuple[bytes, AccountReport]:
    """The receipt of an account as a file's bytes, and what it shows.

    With `wait` until a state with all that was known at the first question is signed and, where the cluster publishes on Bitcoin, under enough
    blocks; for `timeout_s` at most, then for what there is. Raises `ReceiptPending` where no state is signed yet, `QuestionRejected` for what is
    no account, `ServiceMissing` where no anchor runs, `ReceiptUnusable` where what it sent is no receipt, else `BusUnavailable`.
    """
    subject = bus.subjects.service("anchor", "account")
    reply: AccountReceiptReply | None = None

    async def ask() -> AccountReceiptReply:
        nonlocal reply
        since = asked.since if reply is None else reply.since
        reply = await bus.request(subject, msgspec.structs.replace(asked, since=since), AccountReceiptReply)
        return reply

    found = await _patient(ask, wait=wait, timeout_s=timeout_s)
    if found.receipt is None:
        raise ReceiptPending(f"{asked.account} has no receipt yet: {found.said}")
    try:
        return found.receipt, check_account(found.receipt, Demands(account=asked.account))
    except ReceiptError as error:
        raise ReceiptUnusable(
            f"the anchor sent a receipt that does not hold ({error}): see its log"
        ) from None


async def _reply(bus: Bus, task: str, *, wait: bool, timeout_s: float | None) -> ReceiptReply:
    subject = bus.subjects.service("anchor", "receipt")
    return await _patient(
        lambda: bus.request(subject, ReceiptRequest(task), ReceiptReply), wait=wait, timeout_s=timeout_s
    )


async def _patient[T: (ReceiptReply, AccountReceiptReply)](
    ask: Callable[[], Awaitable[T]], *, wait: bool, timeout_s: float | None
) -> T:
    """The first answer or, with `wait`, the first after which no more is to come, or the last one in time."""
    loop = asyncio.get_running_loop()
    deadline = None if timeout_s is None else loop.time() + timeout_s
    while True:
        is_late = deadline is not None and loop.time() >= deadline
        try:
            with mapped():
                reply = await ask()
        except BusUnavailable:
            if not wait or is_late:
                raise
        else:
            if not wait or not reply.more or is_late:
                return reply
        await asyncio.sleep(_EVERY_S)


async def _evidence(bus: Bus, sequence: int, line: int) -> Statement | None:
    """The result at a place in RESULTS with its node's signature; None where it is no longer there."""
    try:
        found = await stored(bus, bus.subjects.stream("results"), sequence=sequence)
        if found is None or not 0 <= line < MAX_LINES:
            return None
        return statement_of(found.data or b"", line)
    except (BusError, IndexError) as error:
        _log.warning("evidence is left out", sequence=sequence, line=line, reason=str(error))
        return None
