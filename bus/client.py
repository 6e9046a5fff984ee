"""nats-py's client, made to outlive whatever bytes a stranger publishes.

The server carries subjects, replies and headers that are no UTF-8, hold control characters or break the headers' own format. nats-py
2.16 raises over them where it reads from the socket and then reads no more: one such message deafens a connection, and one
that is stored in a log deafens every reader of that log for ever. Guarantees that such a message arrives like any other: undecodable
bytes of its subject are U+FFFD (no token has them, so it is refused where names are checked), unreadable headers are none.

The answer to a ping that nobody waits for any more ends the reading of nats-py, too; here it is nothing.

It also says how many servers of its cluster the server sees, and can be made to `leave` a server that no longer reads.
And what is received and not yet handled is bounded: nats-py would hold 512k messages or 128 MiB for each subscription. What is over is dropped and
counted, the newest first; nothing that must not be lost comes by a bare subscription (`bus.reader` finds gaps).
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import nats.aio.client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.protocol import parser

from bus.nkeys import public
from bus.signing import Identity

__all__ = ["PENDING_BYTES", "PENDING_MESSAGES", "Client"]

PENDING_MESSAGES = 16_384
PENDING_BYTES = 32 * 1024 * 1024
"""What one subscription may hold that its handler has not taken: more than a burst of 10,000 heartbeats, and little memory."""

# Only a space separates the server's words; nats-py takes \v and \f for separators, too, and reads a subject that has them as two.
_WORDS = rb"\A%s[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?%s(\d+)\r\n"
parser.MSG_RE = re.compile(_WORDS % (b"MSG", b""))
parser.HMSG_RE = re.compile(_WORDS % (b"HMSG", rb"(\d+)[ \t]+"))


class Client(nats.aio.client.Client):
    """A connection whose reading no message can end, and whose memory no flood can fill. `on_servers` is called with each count of servers that the server tells.

    `learns_servers` says whether addresses that the server tells of may be used beside the given ones: who was given several has said which.
    """

    def __init__(
        self, on_servers: Callable[[int], None] = lambda _: None, *, learns_servers: bool = True
    ) -> None:
        super().__init__()
        self._on_servers = on_servers
        self._learns_servers = learns_servers

    @property
    def is_clustered(self) -> bool:
        """Whether the server names a cluster that it belongs to."""
        return bool(self._server_info.get("cluster"))

    def show(self, user: Identity) -> None:
        """Say who we are with a key, to a server that asks. nats-py takes keys only with a package that holds Ed25519 once more."""
        self._public_nkey = public(user.key)

    def leave(self) -> None:
        """Drop the connection, so that another server is chosen; also where this one takes no more bytes and could not be left in order."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None and self.is_connected:
            writer.transport.abort()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 -- nats-py's signature
        servers = info.get("connect_urls")
        if servers:
            self._on_servers(len(servers))
        known = info if self._learns_servers else {**info, "connect_urls": None}
        await super()._process_info(known, initial_connection)

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            # Given up. The server answers in order, so this answer is that ping's all the same.
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def subscribe(  # noqa: PLR0917 -- nats-py's own signature
        self,
        subject: str,
        queue: str = "",
        cb: Any = None,
        future: Any = None,
        max_msgs: int = 0,
        pending_msgs_limit: int = PENDING_MESSAGES,
        pending_bytes_limit: int = PENDING_BYTES,
    ) -> Subscription:
        """As nats-py's, with lower limits, also for the subscriptions that it makes by itself (answers, services)."""
        return await super().subscribe(
            subject,
            queue,
            cb,
            future,
            max_msgs,
            min(pending_msgs_limit, PENDING_MESSAGES),
            min(pending_bytes_limit, PENDING_BYTES),
        )

    async def _process_headers(self, headers: Any) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (ValueError, IndexError):
            return None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return self.msg_class(
            subject=subject.decode(errors="replace"),
            reply=reply.decode(errors="replace"),
            data=data,
            headers=headers,
            _client=self,
            _sid=sid,
        )
