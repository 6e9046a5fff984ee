"""nats-py's client, made to outlive whatever bytes a stranger publishes.

The server carries subjects, replies and headers that are no UTF-8, hold control characters or break the headers' own format. nats-py
2.16 raises over them where it reads from the socket and then reads no more: one such message deafens a connection, and one
that is stored in a log deafens every reader of that log for ever. Guarantees that such a message arrives like any other: undecodable
bytes of its subject are U+FFFD (no token has them, so it is refused where names are checked), unreadable headers are none.

It also says how many servers of its cluster the server sees, and can be made to `leave` a server that no longer reads.
"""

import re
from collections.abc import Callable
from typing import Any

import nats.aio.client
from nats.aio.msg import Msg
from nats.protocol import parser

__all__ = ["Client"]

# Only a space separates the server's words; nats-py takes \v and \f for separators, too, and reads a subject that has them as two.
_WORDS = rb"\A%s[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?%s(\d+)\r\n"
parser.MSG_RE = re.compile(_WORDS % (b"MSG", b""))
parser.HMSG_RE = re.compile(_WORDS % (b"HMSG", rb"(\d+)[ \t]+"))


class Client(nats.aio.client.Client):
    """A connection whose reading no message can end. `on_servers` is called with each count of servers that the server tells.

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
