"""What must happen before a task can be submitted: its module and a large input are uploaded, it gets an id and its line.

Guarantees that an id which nobody chose is no other client's: each preparation has a random beginning of its own, and counts.
"""

import secrets
from collections.abc import Awaitable
from itertools import count

from ambient.errors import Rejected, TaskRejected, mapped
from ambient.mapping import Make, MapItem
from ambient.modules import Modules, ModuleSource
from ambient.outstanding import Entry, Sink
from ambient.submission import Argument, Form, InputLike, TaskOptions, as_bytes
from bus.blobs import Blobs
from bus.errors import Malformed
from bus.messages import INLINE_LIMIT_BYTES
from bus.subjects import token
from bus.wire import sha256_hex

__all__ = ["Preparation", "checked_token"]


class Preparation:
    """Makes the entries of one client, whose blobs are written as `blobs`."""

    def __init__(self, blobs: Blobs, client: str) -> None:
        self._blobs = blobs
        self._modules = Modules(blobs)
        self._start = f"{client}."
        self._prefix = secrets.token_hex(6)
        self._count = count(1)

    async def entry(
        self,
        sink: Sink,
        task_id: str | None,
        module: ModuleSource,
        args: tuple[Argument, ...],
        *,
        content: InputLike,
        options: TaskOptions,
    ) -> Entry:
        """The entry of one task; raises what `Client.run` raises before anything is submitted."""
        chosen = task_id is not None
        name = checked_token("id", task_id) if task_id is not None else self._new_id()
        form = Form(await self._modules.digest(module), options)
        body, blob = await self._input(as_bytes(content))
        line = form.line(name, args, body, blob)
        return Entry(self._start + name, line, sink, digest=sha256_hex(line) if chosen else "")

    async def maker(self, module: ModuleSource, inputs: object, options: TaskOptions) -> Make:
        """What makes an entry of each of many inputs; all that they share is done once, here."""
        if isinstance(inputs, str | bytes | bytearray | memoryview):
            # Each of its characters would be a task.
            raise TaskRejected(
                "inputs", f"give an iterable of inputs, such as a list, not one {type(inputs).__name__}"
            )
        form = Form(await self._modules.digest(module), options)
        new_id, start = self._new_id, self._start

        async def make_large(sink: Sink, index: int, content: bytes) -> Entry:
            name, (body, blob) = new_id(), await self._input(content)
            return Entry(start + name, form.line(name, (), body, blob), sink, index)

        def make(sink: Sink, index: int, item: MapItem) -> Entry | Awaitable[Entry]:
            arguments = item if isinstance(item, tuple | list) else ()
            content = b"" if isinstance(item, tuple | list) else as_bytes(item)
            if len(content) > INLINE_LIMIT_BYTES:
                return make_large(sink, index, content)
            name = new_id()
            return Entry(start + name, form.line(name, arguments, content), sink, index)

        return make

    async def _input(self, content: bytes) -> tuple[bytes, str | None]:
        """An input as it goes into the task: itself, or the digest of the blob that it was uploaded as."""
        if len(content) <= INLINE_LIMIT_BYTES:
            return content, None
        try:
            with mapped():
                return b"", f"sha256:{await self._blobs.put(content)}"
        except Rejected as error:
            raise TaskRejected("input", error.limit) from None

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._count)}"


def checked_token(field: str, value: str) -> str:
    """The value itself if it is a token; raises `TaskRejected` otherwise."""
    try:
        return token(field, value)
    except Malformed as error:
        raise TaskRejected(error.field, error.limit) from None
