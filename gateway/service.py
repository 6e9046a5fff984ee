"""The gateway process: a connection, the view that it folds, and the server in front of them.

Any number may run, on one machine or many, with the same file of tokens. SIGTERM or SIGINT end the process in order: what is under way is answered,
and event streams end, so that their readers go on elsewhere.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from bus.connection import Bus
from bus.terms import first_of, until_told
from gateway.app import make_app
from gateway.asking import Asking
from gateway.board import Board
from gateway.edge import App, Tally
from gateway.errors import AddressTaken
from gateway.metering import requests
from gateway.parts import Parts
from gateway.settings import GatewaySettings
from gateway.stories import Stories
from gateway.submitting import Submitting
from gateway.tokens import Tokens
from gateway.view.core import View
from gateway.view.following import Following
from metrics.page import exposed
from metrics.process import process

__all__ = ["run"]

_log = structlog.get_logger("gateway")
_END_S = 3
_BACKLOG = 2048
_SEND_BYTES = 256 * 1024
"""What the kernel holds for a client that does not read; it would let it grow to megabytes for each."""


async def run(settings: GatewaySettings, *, stop: asyncio.Event | None = None) -> None:
    """Serve until `stop` is set, or a signal comes where no `stop` is given.

    Waits for ever for a bus that is away. Raises `AddressTaken` where the API, `metrics.errors.AddressTaken` where the metrics cannot be served,
    and `TokensUnusable` where the file of tokens cannot be read.
    """
    with _listening(settings) as listener:
        await until_told(_serve(settings, listener), stop)
    _log.info("stopped", name=settings.name)


async def _serve(settings: GatewaySettings, listener: socket.socket) -> None:
    tokens = Tokens(settings.tokens)
    tokens.caller("")  # a file that cannot be used is told at the start
    if not len(tokens):
        _log.warning(
            "there are no tokens yet",
            advice="make one with `ambient token create`",
            file=str(settings.tokens),
        )
    async with await Bus.connect(
        settings.url, cluster=settings.cluster, name=settings.name, timeout_s=None
    ) as bus:
        parts = _parts(settings, bus)
        async with exposed(
            settings.metrics_port,
            process("gateway", settings.tokens.parent),
            requests(parts.tally, parts.view.book),
            host=settings.metrics_host,
        ):
            host, port = listener.getsockname()[:2]
            _log.info("serving", at=f"http://{host}:{port}", name=settings.name, cluster=settings.cluster)
            try:
                await first_of(
                    parts.following.run(), parts.board.run(), _http(make_app(parts, tokens), listener, parts)
                )
            finally:
                await parts.submitting.close()


def _parts(settings: GatewaySettings, bus: Bus) -> Parts:
    view = View(settings.keep_tasks)
    asking = Asking(bus)
    return Parts(
        settings=settings,
        bus=bus,
        view=view,
        following=Following(bus, view),
        asking=asking,
        board=Board(bus),
        submitting=Submitting(bus, view.book),
        stories=Stories(bus, view, asking),
        tally=Tally(),
        stopping=asyncio.Event(),
    )


@contextmanager
def _listening(settings: GatewaySettings) -> Iterator[socket.socket]:
    """A socket that listens already, so that a port that is taken is told before anything else is begun."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise AddressTaken(
                f"the API cannot be served at {settings.host}:{settings.port}: choose another --http-port, 0 picks a free one ({error.strerror})"
            ) from None
        listener.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        yield listener


class _Server(uvicorn.Server):
    """Without signal handlers of its own: `until_told` has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _http(app: App, listener: socket.socket, parts: Parts) -> None:
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who asks is told by the token, and by nothing that anybody may write into a header
            timeout_graceful_shutdown=_END_S,
            backlog=_BACKLOG,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        parts.stopping.set()
        server.should_exit = True
        await serving
        raise
