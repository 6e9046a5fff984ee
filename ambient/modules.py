"""Modules: from whatever a caller has in hand to a digest that nodes can fetch.

Guarantees that a module is uploaded at most once per client, also when many calls need it at the same time, and that a file
that changed is uploaded anew. A digest is passed on as it is: whether the cluster has that module is found out by
the coordinator, which rejects the task otherwise. WAT is compiled here, with wasmtime (the extra `node`).
"""

import asyncio
import os
import re
from pathlib import Path

from ambient.errors import MissingExtra, ModuleUnusable, TaskRejected, mapped
from bus.blobs import MAX_BLOB_BYTES, Blobs
from bus.wire import sha256_hex

__all__ = ["ModuleSource", "Modules", "read_module"]

ModuleSource = str | os.PathLike[str] | bytes
"""A path (`.wasm` or `.wat`), a module's bytes, WAT text, or a digest `sha256:<64 hex digits>`."""

_MAGIC = b"\0asm"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REMEMBERED = 256

type _Key = str | bytes | tuple[str, int, int]


class Modules:
    """The modules that one client has uploaded, by what the caller gave."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._digests: dict[_Key, str] = {}
        self._uploads: dict[str, asyncio.Task[str]] = {}

    async def digest(self, source: ModuleSource) -> str:
        """The digest (`sha256:…`) of a module that nodes can fetch from now on.

        Raises `ModuleUnusable`, `MissingExtra` (WAT without wasmtime), `TaskRejected` (too large) or `BusUnavailable`.
        """
        if isinstance(source, str) and source.startswith("sha256:"):
            return _valid_digest(source)
        key = _key(source)
        if (known := self._digests.get(key)) is not None:
            return known
        module = await asyncio.to_thread(read_module, source)
        if len(module) > MAX_BLOB_BYTES:
            raise TaskRejected("module", f"at most {MAX_BLOB_BYTES} bytes are allowed, not {len(module)}")
        digest = await self._upload(module)
        while len(self._digests) >= _REMEMBERED:
            del self._digests[next(iter(self._digests))]
        self._digests[key] = digest
        return digest

    async def _upload(self, module: bytes) -> str:
        name = sha256_hex(module)
        upload = self._uploads.get(name)
        if upload is None:
            upload = self._uploads[name] = asyncio.create_task(self._blobs.put(module), name=name)
            upload.add_done_callback(self._uploaded)
        # Shielded: whoever stops waiting must not take the module away from the others who wait for it.
        with mapped():
            return f"sha256:{await asyncio.shield(upload)}"

    def _uploaded(self, upload: asyncio.Task[str]) -> None:
        """Forget the upload; its error is its waiters', and nobody's if they all left."""
        self._uploads.pop(upload.get_name(), None)
        if not upload.cancelled():
            upload.exception()


def read_module(source: ModuleSource) -> bytes:
    """The bytes of the module behind a path, WAT text or bytes; raises `ModuleUnusable` or `MissingExtra`."""
    if isinstance(source, bytes):
        return source if source.startswith(_MAGIC) else _compile(source, "these bytes")
    if isinstance(source, str) and _is_wat(source):
        return _compile(source.encode(), "this text")
    path = Path(source)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModuleUnusable(
            f"cannot read module {str(path)!r} ({error.strerror}): give the path of a .wasm or .wat file, "
            "the module's bytes, WAT text or a digest sha256:…"
        ) from None
    return content if content.startswith(_MAGIC) else _compile(content, str(path))


def _compile(text: bytes, origin: str) -> bytes:
    """WAT to WebAssembly."""
    if not _is_wat(text.decode(errors="replace")):
        raise ModuleUnusable(
            f"{origin} is neither WebAssembly (it would begin with \\0asm) nor WAT (with a parenthesis): "
            "compile the source to wasm32-wasip1 first"
        )
    try:
        import wasmtime  # noqa: PLC0415 -- an extra: a client that sends built modules needs no engine
    except ImportError:
        raise MissingExtra(
            f"{origin} is WAT, which only wasmtime compiles: `pip install 'ambient-vcp[node]'`, or give a built .wasm"
        ) from None
    try:
        return bytes(wasmtime.wat2wasm(text))
    except (wasmtime.WasmtimeError, UnicodeDecodeError) as error:
        raise ModuleUnusable(f"{origin} is no valid WAT: {error}") from None


def _is_wat(text: str) -> bool:
    """WAT begins with a parenthesis or a comment, and no path that anybody has does."""
    return text.lstrip().startswith(("(", ";;"))


def _key(source: ModuleSource) -> _Key:
    """What a source is remembered by: itself, or for a file its name, size and time of change."""
    if isinstance(source, bytes) or (isinstance(source, str) and _is_wat(source)):
        return source
    path = os.fspath(source)
    try:
        facts = os.stat(path)  # noqa: PTH116 -- a fifth of pathlib's cost, once per task
    except OSError:
        return path
    return (path, facts.st_size, facts.st_mtime_ns)


def _valid_digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise TaskRejected("module", f"a digest is sha256: and 64 lower-case hex digits, not {text[:80]!r}")
    return text
