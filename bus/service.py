"""Answering questions: NATS micro services whose requests and answers are messages of the contract.

Guarantees that a question which breaks the contract is answered with `ErrorReply` naming field and limit, and that a handler
that raises answers too: nobody waits for a time-out because of somebody's bad input. `nats micro ls` lists the services.
"""

import inspect
from collections.abc import Callable
from typing import Any, Self

import msgspec
import structlog
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import Service

from bus.connection import Bus
from bus.errors import BusError, Malformed
from bus.messages import ErrorReply
from bus.wire import decode, decoder, encode

__all__ = ["ServiceDesk"]

_log = structlog.get_logger("bus.service")


class ServiceDesk:
    """The endpoints of one service, `svc.<name>.<endpoint>`. A standby opens it, too, but only to say of itself how it is."""

    def __init__(self, service: Service, bus: Bus, name: str) -> None:
        self._service = service
        self._bus = bus
        self._name = name

    @classmethod
    async def open(cls, bus: Bus, name: str, version: str, description: str, *, instance: str = "") -> Self:
        """Register the service on the bus; `instance` is the name of this process, told to `nats micro info`."""
        service = await add_service(
            bus.client,
            name=f"avcp-{bus.subjects.cluster}-{name}",
            version=version,
            description=description,
            metadata={"instance": instance} if instance else None,
        )
        return cls(service, bus, name)

    async def answer[Q](
        self, endpoint: str, question: type[Q], handle: Callable[[Q], Any], *, each: bool = False
    ) -> None:
        """Answer `endpoint`: `handle` takes the decoded question and returns the answer (a message, or bytes) or an awaitable of it.

        Questions to one endpoint are answered one after the other, so an awaitable should be short.

        A question type of `bytes` hands the body over undecoded. With `each`, every instance of the service answers for itself;
        else one of them does.
        """
        read = None if question is bytes else decoder(question)

        async def on_request(request: Request) -> None:
            reply = await self._respond(endpoint, read, handle, request.data)
            if len(reply) > self._bus.client.max_payload:
                # The client library would refuse to send it, and whoever asked would get an answer without a word in it.
                limit = f"the answer would have {len(reply)} bytes, {self._bus.client.max_payload} fit: ask for less"
                reply = encode(ErrorReply("", limit))
            await request.respond(reply)

        await self._service.add_endpoint(
            name=endpoint,
            subject=self._bus.subjects.service(self._name, endpoint),
            handler=on_request,
            queue_group=self._service.id if each else None,
        )

    async def _respond(
        self, endpoint: str, read: msgspec.json.Decoder[Any] | None, handle: Callable[[Any], Any], body: bytes
    ) -> bytes:
        try:
            reply = handle(body if read is None else decode(body or b"{}", read))
            if inspect.isawaitable(reply):
                reply = await reply
        except Malformed as error:
            return encode(ErrorReply(error.field, error.limit))
        except BusError as error:
            return encode(ErrorReply("", str(error), internal=True))
        except Exception:  # noqa: BLE001 -- whoever asked is told, and the log has the trace
            _log.exception("a question could not be answered", service=self._name, endpoint=endpoint)
            return encode(
                ErrorReply("", f"{self._name} could not answer {endpoint}: see its log", internal=True)
            )
        return reply if isinstance(reply, bytes) else encode(reply)

    async def close(self) -> None:
        """Answer no more."""
        await self._service.stop()
