"""Asking witnesses for their cosignatures over HTTP: the client of C2SP tlog-witness.

Guarantees that a witness is only ever shown checkpoints that are durable, each with the proof that it begins with what that witness cosigned last;
that nothing of its answer counts but its own cosignature, and that only where it holds; and that one that is slow, hostile or away costs nobody
else anything. Where too few have cosigned, nothing is shown: that is `anchor.desk`'s.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import SplitResult

import structlog

from anchor.bitcoin.errors import BitcoinError
from anchor.bitcoin.remote.http import exchange
from anchor.desk import Desk
from anchor.receipt.errors import ReceiptError
from anchor.receipt.note import Key, Note, read_checkpoint, read_note, write_note
from anchor.receipt.text import base64_of, decimal
from bus.errors import BusError
from bus.messages import CheckpointRequest, CosignRequest

__all__ = ["Conflict", "WitnessRefused", "Witnessing", "cosignature_of", "request_of"]

_log = structlog.get_logger("anchor.witnessing")

_TIMEOUT_S = 5.0
_MOST_BYTES = 16 * 1024
_AGAIN_S, _MOST_S = 1.0, 60.0
"""After a failure: at first, and at most."""
_OK, _CONFLICT = 200, 409
_REASONS = {
    400: "it finds the request malformed",
    403: "it does not trust the log's key: have its operator add it",
    404: "it does not know the log: have its operator add it",
    422: "it finds that the log does not begin with what it saw: compare the log with a backup",
}


class WitnessRefused(Exception):
    """A witness gave no cosignature, or none that holds; the message says why."""


class Conflict(NamedTuple):
    """The witness cosigned a state of `size` leaves last, and not the one that it was told."""

    size: int


def request_of(old: int, proof: Sequence[bytes], note: Note) -> bytes:
    """The body of `add-checkpoint`: the size that the witness saw last, RFC 6962's proof from there, and the checkpoint."""
    lines = [f"old {old}", *(base64_of(each) for each in proof), "", ""]
    return "\n".join(lines).encode() + write_note(note)


def cosignature_of(status: int, body: bytes, note: Note, key: Key) -> str | Conflict:
    """The witness' signature line, with its line break, out of its answer; lines of others are passed over. Raises `WitnessRefused`."""
    try:
        if status == _CONFLICT:
            return Conflict(decimal("size", body.decode("ascii").removesuffix("\n")))
        if status != _OK:
            raise WitnessRefused(_REASONS.get(status, f"it answers with status {status}"))
        offered = read_note(note.text.encode() + b"\n" + body, "cosignatures")
    except (ReceiptError, UnicodeDecodeError) as error:
        raise WitnessRefused(f"its answer cannot be read ({error})") from None
    for each in offered.signatures:
        if (each.name, each.key_id) == (key.name, key.id):
            return f"{each}\n"
    raise WitnessRefused("its own cosignature is not among those that it sent")


class Witnessing:
    """For one term; `answers` gives checkpoints with their proofs, and takes the cosignatures in."""

    def __init__(self, answers: Desk, witnesses: Sequence[tuple[Key, SplitResult]]) -> None:
        self._answers = answers
        self._witnesses = witnesses
        self._seen: dict[Key, int] = {}

    def __repr__(self) -> str:
        """Which state each saw last, as far as is known."""
        return f"Witnessing({ {key.name: size for key, size in self._seen.items()} })"

    async def run(self) -> None:
        """Ask each about every new checkpoint, for as long as this process leads."""
        try:
            async with asyncio.TaskGroup() as group:
                for key, url in self._witnesses:
                    group.create_task(self._follow(key, url))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await asyncio.Event().wait()

    async def _follow(self, key: Key, url: SplitResult) -> None:
        pause_s = _AGAIN_S
        while True:
            renewed = self._answers.renewed
            if self._answers.lacks(key):
                try:
                    await self._ask(key, url)
                    pause_s = _AGAIN_S
                except (WitnessRefused, BitcoinError, BusError) as error:
                    _log.warning("a witness did not cosign", witness=key.name, reason=str(error))
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _MOST_S)
                    continue
            await renewed.wait()

    async def _ask(self, key: Key, url: SplitResult) -> None:
        """About the newest checkpoint. Raises `WitnessRefused`, or what kept it from being asked."""
        answer = await self._add(key, url, self._seen.get(key, 0))
        if isinstance(answer, Conflict):
            # It knows another state than we thought: after a restart, or as another anchor asked it meanwhile.
            if answer.size == self._seen.get(key, 0):
                raise WitnessRefused(
                    f"it saw another tree of {answer.size} leaves: compare the log with a backup"
                )
            self._seen[key] = answer.size
            answer = await self._add(key, url, answer.size)
        if isinstance(answer, Conflict):
            raise WitnessRefused(f"it names one state after the other, now one of {answer.size} leaves")

    async def _add(self, key: Key, url: SplitResult, old: int) -> Conflict | None:
        """One request; a cosignature is taken in."""
        newest = await self._answers.checkpoint(CheckpointRequest(old=0))
        size = read_checkpoint(read_note(newest.note.encode()).text).size
        if old > size:
            raise WitnessRefused(
                f"it saw a state of {old} leaves, and this log has {size}: compare it with a backup before anything else is signed"
            )
        shown = await self._answers.checkpoint(CheckpointRequest(old=old)) if old else newest
        note = read_note(shown.note.encode())
        body = request_of(old, [bytes.fromhex(each) for each in shown.proof], note)
        said = await exchange(
            url,
            f"{url.path.rstrip('/')}/add-checkpoint",
            body=body,
            headers={"Content-Type": "text/plain"},
            timeout_s=_TIMEOUT_S,
            most_bytes=_MOST_BYTES,
        )
        answer = cosignature_of(said.status, said.body, note, key)
        if isinstance(answer, Conflict):
            return answer
        await self._answers.cosign(CosignRequest(answer))
        self._seen[key] = read_checkpoint(note.text).size
        return None
