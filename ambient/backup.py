"""A copy of a cluster that works: its logs and blobs as the server snapshots them, its secrets as files; and the way back.

Guarantees, of a folder that has its `manifest.json`:

- Nothing in a log of the copy refers to what the copy has not. Logs are taken one after the other, whatever refers before what it refers to:
  checkpoints (which name places in every log), ANCHORS (verdicts), VERDICTS (results), RESULTS (decisions), ASSIGNMENTS (tasks), TASKS (blobs),
  BLOBS. A log only grows at its end, so one that was taken later holds whatever an earlier one saw of it.
- Nothing that a checkpoint of the copy needs was cut meanwhile: where a log's beginning has moved since the first was taken, all are taken again.
- Every task that was acknowledged before the backup began is in it; so is every verdict that was told before.

What refers the other way round is made good by whoever folds: a decision that followed a verdict which the copy has not is one attempt more, and a task
whose reward came of a deposit which the copy has not finds its purse short until the order is given again (it counts once).

Left to others: that no service runs on the servers that are restored, and that an anchor goes on with a new key (docs/operate.md).
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import structlog

from ambient.errors import BackupUnusable
from bus.connection import Bus, Received
from bus.disk import sync_path
from bus.errors import BusUnavailable
from bus.streams import extent, replicas

__all__ = ["ORDER", "SECRETS", "Manifest", "Taken", "read", "restore", "restore_files", "take"]

ORDER = ("checkpoints", "anchors", "verdicts", "results", "assignments", "tasks", "blobs")
"""In which the logs are taken: see above."""
SECRETS = ("*.key", "tokens.json", "identity", "*/identity", "*/*.key")
"""Files of a data folder that cannot be made again."""
_FORMAT = 1
_TRIES = 5
_CHUNK_BYTES = 256 * 1024
_UNDER_WAY = 16
_SILENCE_S = 30.0
_log = structlog.get_logger("ambient.backup")


class Taken(msgspec.Struct, frozen=True):
    """One log: its sequences, and the file with its snapshot. `config` and `state` are what the server wants back."""

    log: str
    """Its name."""
    file: str
    """Its snapshot, in the folder of the backup."""
    bytes: int
    """Size of that file."""
    sha256: str
    """Of that file, in hex."""
    first: int
    """The first sequence in it."""
    last: int
    """The last sequence in it."""
    config: dict[str, Any]
    """Of the stream, as the server had it."""
    state: dict[str, Any]
    """Of the stream, as the server had it."""


class Manifest(msgspec.Struct, frozen=True):
    """What is in a backup; times in ms since the epoch. `files` are the secrets, by their paths below `files/`."""

    format: int
    """The version of this format."""
    cluster: str
    """Its name."""
    begun_ms: int
    """When the copy was begun, in milliseconds since 1970: what was acknowledged before is in it."""
    ended_ms: int
    """When it was complete, in milliseconds since 1970."""
    logs: list[Taken]
    """The logs and blobs."""
    files: list[str]
    """The secrets (keys, tokens), by their paths; empty where no data folder was copied."""


class _Failure(msgspec.Struct):
    description: str = ""


class _Answer(msgspec.Struct):
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    deliver_subject: str = ""
    error: _Failure | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


async def take(bus: Bus, folder: Path, data: Path | None = None) -> Manifest:
    """Copy the cluster's logs, and the secrets below `data`, into `folder`, which must be empty or not there.

    Raises `BackupUnusable` for a folder that cannot be used, or where the logs are cut faster than they are copied; `BusUnavailable`.
    """
    _make(folder)
    begun_ms = time.time_ns() // 1_000_000
    for _ in range(_TRIES):
        began = {log: (await extent(bus, log)).first for log in ORDER}
        logs = [await _snapshot(bus, log, folder) for log in ORDER]
        if not (moved := cut_meanwhile(began, logs)):
            break
        _log.warning("logs were cut meanwhile: beginning again", logs=moved)
    else:
        raise BackupUnusable("logs are cut while they are copied, again and again: try when less is to do")
    files = list(_copy_secrets(data, folder / "files")) if data is not None else []
    manifest = Manifest(_FORMAT, bus.subjects.cluster, begun_ms, time.time_ns() // 1_000_000, logs, files)
    _write(folder / "manifest.json", json.dumps(msgspec.to_builtins(manifest), indent=1).encode())
    return manifest


def cut_meanwhile(began: Mapping[str, int], logs: list[Taken]) -> list[str]:
    """The logs whose beginning was elsewhere when they were taken than when the first was: a checkpoint may need what was cut.

    Checkpoints themselves are replaced all the time; which of them the copy has was decided when it was taken, first of all.
    """
    return [each.log for each in logs if each.log != "checkpoints" and each.first != began[each.log]]


def read(folder: Path, cluster: str) -> Manifest:
    """The manifest of a backup, every file of which is there as it was written. Raises `BackupUnusable`."""
    try:
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupUnusable(
            f"{folder} holds no whole backup: manifest.json, which is written last, is missing"
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupUnusable(f"{folder}/manifest.json cannot be read: {error}") from None
    if manifest.format != _FORMAT:
        raise BackupUnusable(
            f"{folder} has format {manifest.format}: restore it with the version that wrote it"
        )
    if manifest.cluster != cluster:
        raise BackupUnusable(
            f"{folder} is a backup of cluster {manifest.cluster!r}, not of {cluster!r}: give --cluster"
        )
    for each in manifest.logs:
        path = folder / Path(each.file).name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BackupUnusable(f"{path} cannot be read: {error.strerror}") from None
        if digest != each.sha256:
            raise BackupUnusable(f"{path} is not what was written: use another backup")
    return manifest


async def restore(bus: Bus, folder: Path) -> Manifest:
    """Make the logs of a backup on servers that have none of them. Raises `BackupUnusable`, `BusUnavailable`."""
    manifest = await asyncio.to_thread(read, folder, bus.subjects.cluster)
    for each in manifest.logs:
        if not (await _ask(bus, f"INFO.{bus.subjects.stream(each.log)}", {})).error:
            raise BackupUnusable(
                f"{bus.subjects.stream(each.log)} is there already: restore to servers without this cluster, and start its services afterwards"
            )
    for each in manifest.logs:
        await _restore(bus, each, folder / Path(each.file).name)
    return manifest


def restore_files(manifest: Manifest, folder: Path, data: Path) -> None:
    """Put the secrets of a backup below `data`; what is there already stays. Raises `BackupUnusable`."""
    for name in manifest.files:
        source, target = folder / "files" / name, data / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise BackupUnusable(f"{folder}/manifest.json names {name}, which is no file of a backup")
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(target, source.read_bytes())


async def _snapshot(bus: Bus, log: str, folder: Path) -> Taken:
    """One log as it is now, written to a file chunk by chunk as the server sends it."""
    stream = bus.subjects.stream(log)
    path, digest, size = folder / f"{stream}.snapshot", hashlib.sha256(), 0
    async with _hearing(bus) as (inbox, heard):
        told = await _asked(
            bus,
            f"SNAPSHOT.{stream}",
            {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _CHUNK_BYTES},
        )
        with _opened(path) as file:
            while (message := await _next(heard, stream)).data:
                file.write(message.data)
                digest.update(message.data)
                size += len(message.data)
                if message.reply:
                    await bus.publish(message.reply, b"")
            status = (message.headers or {}).get("Status", "204")
            file.flush()
            os.fsync(file.fileno())
    if status != "204":
        raise BusUnavailable(
            f"the snapshot of {stream} ended early ({status} {(message.headers or {}).get('Description', '')}): try again"
        )
    return Taken(
        log,
        path.name,
        size,
        digest.hexdigest(),
        max(1, told.state.get("first_seq", 0)),
        told.state.get("last_seq", 0),
        told.config,
        told.state,
    )


async def _restore(bus: Bus, taken: Taken, path: Path) -> None:
    stream = bus.subjects.stream(taken.log)
    config = {**taken.config, "num_replicas": replicas(bus)}
    told = await _asked(bus, f"RESTORE.{stream}", {"config": config, "state": taken.state})
    async with _hearing(bus) as (inbox, heard):
        unanswered = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                await bus.client.publish(told.deliver_subject, chunk, reply=inbox)
                unanswered += 1
                while unanswered >= _UNDER_WAY:
                    _accepted(stream, (await _next(heard, stream)).data)
                    unanswered -= 1
        await bus.publish(told.deliver_subject, b"", reply=inbox)
        for _ in range(unanswered):
            _accepted(stream, (await _next(heard, stream)).data)
        _accepted(stream, (await _next(heard, stream)).data)


def _accepted(stream: str, answer: bytes) -> None:
    error = _ANSWER.decode(answer).error if answer else None
    if error is not None:
        raise BusUnavailable(f"{stream} could not be restored: {error.description}")


@asynccontextmanager
async def _hearing(bus: Bus) -> AsyncIterator[tuple[str, asyncio.Queue[Received]]]:
    """An inbox, and what comes to it."""
    heard: asyncio.Queue[Received] = asyncio.Queue()
    inbox = bus.client.new_inbox()
    listening = await bus.subscribe(inbox, heard.put)
    try:
        yield inbox, heard
    finally:
        if not bus.client.is_closed:
            await listening.unsubscribe()


async def _next(heard: asyncio.Queue[Received], stream: str) -> Received:
    try:
        return await asyncio.wait_for(heard.get(), _SILENCE_S)
    except TimeoutError:
        raise BusUnavailable(f"nothing more came of {stream} for {_SILENCE_S:g} s: try again") from None


async def _ask(bus: Bus, call: str, question: dict[str, Any]) -> _Answer:
    return _ANSWER.decode(
        await bus.request_bytes(f"$JS.API.STREAM.{call}", msgspec.json.encode(question), _SILENCE_S)
    )


async def _asked(bus: Bus, call: str, question: dict[str, Any]) -> _Answer:
    answer = await _ask(bus, call, question)
    if answer.error is not None:
        raise BusUnavailable(f"JetStream refused {call}: {answer.error.description}")
    return answer


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupUnusable(f"{folder} is not empty: give each backup a folder of its own")
    except OSError as error:
        raise BackupUnusable(f"{folder} cannot be used ({error.strerror}): choose another folder") from None


def _copy_secrets(data: Path, into: Path) -> Iterator[str]:
    into.mkdir(mode=0o700)
    for path in sorted({path for pattern in SECRETS for path in data.glob(pattern) if path.is_file()}):
        target = into / path.relative_to(data)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        _write(target, path.read_bytes())
        yield str(path.relative_to(data))


def _opened(path: Path) -> BinaryIO:
    """A new file that nobody else can read: a log is as secret as what is asked in it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _write(path: Path, data: bytes) -> None:
    """On disk under its name when this returns, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with _opened(partial) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_path(path.parent)
