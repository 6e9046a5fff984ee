"""`node drain` and `node undrain`: take a machine out of the mesh without losing work, and put it back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

from cyclopts import Parameter, validators

from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, print_json
from ambient.cli.tasks import open_client
from ambient.errors import BusUnavailable
from bus.messages import DrainReply

__all__ = ["drain", "undrain"]

_ASK_EVERY_S = 0.25
_LEADERLESS_S = 15.0
"""A coordinator that is replaced does not answer for a moment; nobody for so long is no change of the leader."""

_Name = Annotated[str, Parameter(help="The node's name, as in `ambient nodes`.")]
_Timeout = Annotated[
    float | None,
    Parameter(validator=validators.Number(gt=0), help="Seconds to wait; what was asked stays asked."),
]
_Ask = Callable[[], Awaitable[DrainReply]]


async def drain(
    name: _Name,
    /,
    *,
    finish_s: Annotated[
        float | None,
        Parameter(
            validator=validators.Number(gte=0, lte=86_400),
            help="How long guests that run may take; then they run elsewhere. Default: the node's --drain-s.",
        ),
    ] = None,
    timeout: _Timeout = None,
    connection: Connection = Connection(),
) -> Exit:
    """Give a node no more work, and wait until it holds none: what it has not begun goes elsewhere, what runs may finish.

    The node stays, without work, until it is started again or `ambient node undrain` gives it work. Exits 0 when it is empty, 2 where
    no node has that name, 4 where no coordinator answers, 5 when `--timeout` ran out (the node drains on).
    """
    async with open_client(connection) as client:
        begun = asyncio.get_running_loop().time()

        def ask() -> Awaitable[DrainReply]:
            # Said again, the same end is meant.
            passed_s = asyncio.get_running_loop().time() - begun
            return client.drain(name, finish_s=None if finish_s is None else max(0.0, finish_s - passed_s))

        reply = await _until(ask, lambda reply: reply.empty, timeout, connection)
    if connection.json:
        print_json(reply)
    elif not reply.empty:
        err.print(
            f"{name} still holds {reply.open}: it drains on, and `ambient node drain {name}` waits again"
        )
    elif reply.state == "draining":
        err.print(f"{name} is empty: stop it, or give it work again with `ambient node undrain {name}`")
    else:
        err.print(f"{name} is {reply.state} and holds nothing")
    return Exit.OK if reply.empty else Exit.TIMEOUT


async def undrain(name: _Name, /, *, timeout: _Timeout = 10.0, connection: Connection = Connection()) -> Exit:
    """Give a node that was drained work again, and wait until it takes some.

    Exits 0 when it does, 2 where no node has that name, 4 where no coordinator answers, 5 when `--timeout` ran out: it is not there, or
    about to end.
    """
    async with open_client(connection) as client:
        takes = ("healthy", "safe")  # in safe mode for a reason of its own
        reply = await _until(
            lambda: client.undrain(name), lambda reply: reply.state in takes, timeout, connection
        )
    if connection.json:
        print_json(reply)
    elif reply.state in takes:
        err.print(f"{name} is {reply.state}: it takes work")
    else:
        err.print(f"{name} is {reply.state}: start it with `ambient node`, or see `ambient nodes --all`")
    return Exit.OK if reply.state in takes else Exit.TIMEOUT


async def _until(
    ask: _Ask, done: Callable[[DrainReply], bool], timeout: float | None, connection: Connection
) -> DrainReply:
    """Ask until it is `done` or the time is up, and return the last answer; tell of each step."""
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    heard, reply = loop.time(), await ask()
    _tell(reply, connection)
    while not done(reply) and (end is None or loop.time() < end):
        await asyncio.sleep(_ASK_EVERY_S)
        before = reply
        try:
            reply = await ask()
        except BusUnavailable:
            if loop.time() - heard > _LEADERLESS_S:
                raise
            continue
        heard = loop.time()
        if (reply.state, reply.open) != (before.state, before.open):
            _tell(reply, connection)
    return reply


def _tell(reply: DrainReply, connection: Connection) -> None:
    if not connection.json:
        err.print(
            f"[dim]{reply.node}[/] {reply.state}, {reply.open} attempt{'s' if reply.open != 1 else ''} open"
        )
