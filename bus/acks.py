"""Publishing to a stream and getting its acknowledgement as a future, many under way at a time.

Guarantees that each future ends in the stored sequence, in a `StreamRefusal`, or in `cancel` by whoever gave up waiting. nats-py's own
`publish_async` (2.16) leaves the future of a refused write for ever undecided, and a fence rests on hearing refusals.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.errors import reason

__all__ = ["FULL", "NO_STREAM", "UNDECIDED", "UNSENT", "WRONG_SEQUENCE", "AckInbox", "StreamRefusal"]

WRONG_SEQUENCE = frozenset({10071, 10164})
"""JetStream's error codes for "wrong last sequence", plain and in a constant form."""
FULL = frozenset({10077, 10122, 10047, 10023})
"""Its codes for a stream, a server or a disk without room."""
UNDECIDED = frozenset({10008, 10158, 10163, 10167})
"""Its codes for a write on which the servers cannot agree at the moment: nobody leads, the same write or one to the same subject is still
under way, or too many are. It may be stored yet, so it was not refused: send the same again."""
NO_STREAM = 503
"""No stream takes this subject (NATS' "no responders")."""
UNSENT = 0
"""The message did not leave this process: the connection is closed or its buffer full."""


class StreamRefusal(Exception):
    """The server did not store the message. `code` is JetStream's error code, `NO_STREAM` or `UNSENT`; `stream` is who refused."""

    def __init__(self, code: int, description: str, stream: str = "") -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description
        self.stream = stream


class _Error(msgspec.Struct):
    code: int = 500
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    seq: int = 0
    stream: str = ""
    error: _Error | None = None


_DECODE = msgspec.json.Decoder(_Answer).decode


class AckInbox:
    """One reply subject for all publishes of a connection; answers find their futures by the last token."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._prefix = ""
        self._count = 0
        self._waiting: dict[str, asyncio.Future[int]] = {}

    async def publish(self, subject: str, body: bytes, headers: Mapping[str, str]) -> asyncio.Future[int]:
        """Send and return the future of the sequence under which the message is stored."""
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._count += 1
        token = str(self._count)
        self._waiting[token] = answer
        answer.add_done_callback(partial(self._settled, token))
        try:
            if not self._prefix:
                await self._subscribe()
            await self._client.publish(subject, body, reply=self._prefix + token, headers=dict(headers))
        except nats.errors.Error as error:
            answer.set_exception(StreamRefusal(UNSENT, reason(error)))
        return answer

    def _settled(self, token: str, answer: asyncio.Future[int]) -> None:
        self._waiting.pop(token, None)
        if not answer.cancelled():
            # Looked at here, so that a refusal of what is sent again anyway does not end in the loop's complaints.
            answer.exception()

    async def _subscribe(self) -> None:
        # Named before the first await, so that two publishes at once share one subscription.
        self._prefix = self._client.new_inbox() + "."
        await self._client.subscribe(self._prefix + "*", cb=self._on_answer)

    async def _on_answer(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject.rpartition(".")[2])
        if answer is None or answer.done():
            return
        if not message.data:
            answer.set_exception(StreamRefusal(NO_STREAM, "no stream takes this subject"))
            return
        ack = _DECODE(message.data)
        if ack.error is None:
            answer.set_result(ack.seq)
        else:
            answer.set_exception(StreamRefusal(ack.error.err_code, ack.error.description, ack.stream))
