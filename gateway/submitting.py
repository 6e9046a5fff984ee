"""Submissions: from an order to a durable line in TASKS, in the name of whoever asked.

Guarantees that nobody hears "submitted" before the log has acknowledged it; that a repeated order with the same id or idempotency key is the same
task, whichever gateway hears it, as its line is the same byte for byte; and that what is under way is bounded. Where the acknowledgement does not
come in time, the answer says that the task may be stored, and its name, under which it may be sent again.
"""

import asyncio
import hashlib
import re
import secrets
from base64 import b64decode
from collections import OrderedDict
from itertools import count
from typing import NamedTuple

import msgspec
import structlog

from bus.blobs import MAX_BLOB_BYTES, Blobs
from bus.connection import Bus
from bus.errors import BusError, LogFull, Malformed, StreamMissing
from bus.messages import INLINE_LIMIT_BYTES, RoomReply, TaskSpec, Wasm
from bus.steps import path_header
from bus.wire import MAX_LINE_BYTES, decode, decoder, encode
from bus.writer import OpenWriter
from gateway.asking import answered
from gateway.errors import Conflict, Mismatch, Refused, Unavailable
from gateway.resources.tasks import Submitted, TaskOrder
from gateway.view.book import Book

__all__ = ["Submitting"]

_log = structlog.get_logger("gateway.submitting")

PATH = "/api/v1/tasks"
"""How tasks that are submitted here came in, as the logs of all processes name it: the path of the one resource that takes them."""
_SPEC = decoder(TaskSpec)
_RULE = re.compile("`(\\w+)` (must .*)", re.DOTALL)
"""How the contract's own rules, which no type says, are worded."""
_STORED_S = 10.0
_MOST_WRITERS = 256
_MOST_PENDING = 8192
_ROOM_S = 2.0

type _Waiting = asyncio.Future[tuple[int, int]]


class _Pending(NamedTuple):
    digest: bytes
    place: _Waiting


class _Writers:
    """A writer for each client (its subject is in its name), the one idle for longest stopped where there are too many."""

    def __init__(self, bus: Bus, verb: str) -> None:
        self._bus = bus
        self._verb = verb
        self._held: OrderedDict[str, OpenWriter[_Waiting]] = OrderedDict()

    def get(self, client: str) -> OpenWriter[_Waiting]:
        writer = self._held.get(client)
        if writer is None:
            subjects = self._bus.subjects
            subject = subjects.submit(client) if self._verb == "submit" else subjects.cancel(client)
            writer = self._held[client] = OpenWriter(
                self._bus,
                subjects.stream("tasks"),
                subject,
                on_durable=_tell_stored,
                on_refused=_tell_refused,
                headers=path_header(PATH),
            )
            writer.start()
        self._held.move_to_end(client)
        return writer

    async def tidy(self) -> None:
        while len(self._held) > _MOST_WRITERS:
            idle = next((client for client, writer in self._held.items() if writer.is_idle), None)
            if idle is None:
                return
            await self._held.pop(idle).stop()

    async def stop(self) -> None:
        for writer in self._held.values():
            await writer.stop()
        self._held.clear()


class Submitting:
    """The submissions of one gateway; `book` is what it has read of TASKS, `acknowledged` the last sequence there that it gave to anybody."""

    def __init__(self, bus: Bus, book: Book) -> None:
        self._bus = bus
        self._book = book
        self._tasks = _Writers(bus, "submit")
        self._cancels = _Writers(bus, "cancel")
        self._pending: dict[str, _Pending] = {}
        self._prefix = secrets.token_hex(6)
        self._count = count(1)
        self.acknowledged = 0

    def __repr__(self) -> str:
        """How many are under way."""
        return f"Submitting(pending={len(self._pending)})"

    async def close(self) -> None:
        """Write no more; what is not acknowledged by now may or may not be stored."""
        await self._tasks.stop()
        await self._cancels.stop()

    async def submit(self, client: str, order: TaskOrder, key: str | None = None) -> Submitted:
        """Store a task and say where it stands.

        Raises `Refused` naming field and limit, `Conflict` for an id, `Mismatch` for a key, that stands for another task, and `Unavailable`
        where it could not be stored, or may be and nobody says so in time.
        """
        task_id, is_chosen = self._id_of(client, order, key)
        line = await self._line(client, task_id, order)
        name = f"{client}.{task_id}"
        if is_chosen:
            known = await self._known(name, line, key)
            if known is not None:
                return Submitted(
                    task=name, client=client, id=task_id, sequence=known[0], line=known[1], replayed=True
                )
        sequence, at = await self._store(client, name, line, is_chosen=is_chosen)
        self.acknowledged = max(self.acknowledged, sequence)
        return Submitted(task=name, client=client, id=task_id, sequence=sequence, line=at)

    async def cancel(self, client: str, task_id: str) -> None:
        """Ask for a task to be withdrawn; durable once this returns."""
        waiting: _Waiting = asyncio.get_running_loop().create_future()
        self._cancels.get(client).append(encode({"id": task_id}), waiting)
        await self._stored(waiting, f"{client}.{task_id}")
        await self._cancels.tidy()

    async def upload(self, client: str, data: bytes, field: str) -> str:
        """Store a blob in the client's name and return its digest. Raises `Refused` or `Unavailable`."""
        if len(data) > MAX_BLOB_BYTES:
            limit = f"at most {MAX_BLOB_BYTES} bytes are allowed, not {len(data)}"
            raise Refused(f"{field}: {limit}", field=field, limit=limit)
        with answered():
            return f"sha256:{await Blobs(self._bus, client).put(data)}"

    def _id_of(self, client: str, order: TaskOrder, key: str | None) -> tuple[str, bool]:
        """The task's id, and whether the same order would get it again."""
        if order.id is not None:
            if key is not None:
                limit = "give `id` or the header Idempotency-Key, not both: an id is a key, too"
                raise Refused(limit, field="id", limit=limit)
            return order.id, True
        if key is not None:
            # Of the key alone: any gateway makes the same id of it, so that no gateway has to remember keys.
            return f"key-{hashlib.sha256(f'{client}\0{key}'.encode()).hexdigest()[:40]}", True
        return f"{self._prefix}-{next(self._count)}", False

    async def _line(self, client: str, task_id: str, order: TaskOrder) -> bytes:
        module = await self._module(client, order)
        body, blob = await self._input(client, order)
        try:
            spec = TaskSpec(
                id=task_id,
                work=Wasm(
                    module=module,
                    entry=order.entry,
                    args=order.args,
                    env=order.env,
                    input=body,
                    input_blob=blob,
                ),
                verify=order.verify,
                limits=order.limits,
                place=order.place,
                priority=order.priority,
                deadline=order.deadline,
                max_attempts=order.max_attempts,
                reward=order.reward,
                price=order.price,
            )
            line = encode(spec)
            decode(
                line, _SPEC
            )  # as the coordinator will: what breaks the contract is told here, and costs no message
        except Malformed as error:
            raise Refused(str(error), field=error.field.removeprefix("work."), limit=error.limit) from None
        except ValueError as error:
            rule = _RULE.fullmatch(str(error))
            field, limit = (rule[1], rule[2]) if rule else ("", str(error))
            raise Refused(f"{field}: {limit}" if field else limit, field=field, limit=limit) from None
        except (OverflowError, msgspec.MsgspecError) as error:
            raise Refused(f"the task cannot be written as JSON: {error}", limit=str(error)) from None
        if len(line) > MAX_LINE_BYTES:
            limit = f"a task holds at most {MAX_LINE_BYTES} bytes, this one has {len(line)}"
            raise Refused(limit, limit=limit)
        return line

    async def _module(self, client: str, order: TaskOrder) -> str:
        if (order.module is None) == (order.module_base64 is None):
            limit = "give exactly one of `module` (a digest) and `module_base64`"
            raise Refused(limit, field="module", limit=limit)
        if order.module is not None:
            return order.module
        return await self.upload(client, _base64("module_base64", order.module_base64), "module_base64")

    async def _input(self, client: str, order: TaskOrder) -> tuple[bytes, str | None]:
        given = [name for name in ("input", "input_base64", "input_blob") if getattr(order, name) is not None]
        if len(given) > 1:
            limit = f"give at most one of `input`, `input_base64` and `input_blob`, not {' and '.join(given)}"
            raise Refused(limit, field=given[1], limit=limit)
        if not given or order.input_blob is not None:
            return b"", order.input_blob
        content = (
            order.input.encode() if order.input is not None else _base64("input_base64", order.input_base64)
        )
        if len(content) <= INLINE_LIMIT_BYTES:
            return content, None
        return b"", await self.upload(client, content, given[0])

    async def _known(self, name: str, line: bytes, key: str | None) -> tuple[int, int] | None:
        """Where the same order already stands, also one that is being stored at the moment; raises where it was another one."""
        digest = hashlib.sha256(line).digest()
        pending = self._pending.get(name)
        record = self._book.get(name)
        if pending is None and (record is None or record.source is None or not record.digest):
            return None
        before = pending.digest if pending is not None else record.digest if record is not None else b""
        if before != digest:
            if key is not None:
                limit = "a key stands for one request: use another key for another task"
                raise Mismatch(limit, field="Idempotency-Key", limit=limit, task=name)
            limit = "an id stands for one task: choose another id for another task"
            raise Conflict(f"{name} is another task: {limit}", field="id", limit=limit, task=name)
        if pending is not None:
            return await self._stored(pending.place, name)
        return record.source if record is not None else None

    async def _store(self, client: str, name: str, line: bytes, *, is_chosen: bool) -> tuple[int, int]:
        if len(self._pending) >= _MOST_PENDING:
            raise Unavailable(
                f"{_MOST_PENDING} submissions wait for the log already: try again in a moment",
                headers={"Retry-After": "1"},
            )
        waiting: _Waiting = asyncio.get_running_loop().create_future()
        digest = hashlib.sha256(line).digest() if is_chosen else b""
        self._pending[name] = _Pending(digest, waiting)
        waiting.add_done_callback(lambda _: self._pending.pop(name, None))
        self._tasks.get(client).append(line, waiting)
        place = await self._stored(waiting, name)
        await self._tasks.tidy()
        return place

    async def _stored(self, waiting: _Waiting, name: str) -> tuple[int, int]:
        try:
            async with asyncio.timeout(_STORED_S):
                # Shielded: it is on its way, and whoever sends it again must find it.
                return await asyncio.shield(waiting)
        except TimeoutError:
            raise Unavailable(
                f"{name} is not acknowledged after {_STORED_S:g} s; it may be stored: send it again under the same id, or look for it",
                task=name,
                headers={"Retry-After": "2"},
            ) from None
        except LogFull as error:
            raise await self._full(error, name) from None
        except (StreamMissing, BusError) as error:
            raise Unavailable(str(error), task=name, headers={"Retry-After": "2"}) from None

    async def _full(self, error: LogFull, name: str) -> Unavailable:
        """With the time to come back, as the coordinator says it."""
        retry_s = 2
        try:
            room = await self._bus.request(
                self._bus.subjects.service("coordinator", "room"), b"{}", RoomReply, timeout_s=_ROOM_S
            )
            retry_s = max(1, -(-room.retry_after_ms // 1000))
        except BusError as silent:
            _log.debug("nobody says when there is room", reason=str(silent))
        return Unavailable(str(error), task=name, headers={"Retry-After": str(retry_s)})


def _base64(field: str, text: str | None) -> bytes:
    try:
        return b64decode(text or "", validate=True)
    except ValueError:
        limit = "must be base64 (RFC 4648, section 4), with its padding"
        raise Refused(f"{field} {limit}", field=field, limit=limit) from None


def _tell_stored(sequence: int, waiting: list[_Waiting]) -> None:
    for at, future in enumerate(waiting):
        if not future.done():
            future.set_result((sequence, at))


def _tell_refused(error: BusError, waiting: list[_Waiting]) -> bool:
    for future in waiting:
        if not future.done():
            future.set_exception(error)
            future.exception()  # whoever waited may have gone
    return False
