"""Asking for verdicts whose notices were lost, for rejections likewise, and for tasks of others.

Guarantees that an entry handed to `later` or `at_once` is asked for until it is settled, however long services or server are
away. When is decided by `ambient.asking`; what a verdict means, by `settle`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from ambient.asking import Schedule
from ambient.errors import AmbientError, TaskRejected, TaskUnknown
from ambient.outstanding import Entry, Outstanding
from bus.connection import Bus
from bus.errors import BusError, Malformed, NoResponder
from bus.messages import Pending, Verdict, VerdictRequest, WhyReply, WhyRequest
from bus.wire import decode, encode, split_lines

__all__ = ["Inquiry"]

_log = structlog.get_logger("ambient")

_ANSWER: msgspec.json.Decoder[Verdict | Pending] = msgspec.json.Decoder(Verdict | Pending)
_ERROR = b'{"kind":"error"'
_QUESTION_S = 2.0
_ASKED_TWICE = 2
"""Questions answered "pending" before the coordinator is asked whether it knows the task at all."""
_WHY_AT_ONCE = 8
_WHY_EVERY_S = 1.0
"""An explanation looks at every node: dear for the coordinator, and a large backlog is no reason to ask more often."""


class Inquiry:
    """Keeps asking the verifier, and in doubt the coordinator."""

    def __init__(self, bus: Bus, outstanding: Outstanding, settle: Callable[[Verdict], None]) -> None:
        self._bus = bus
        self._outstanding = outstanding
        self._settle = settle
        self._schedule = Schedule()
        self._next_why = float("-inf")
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def later(self, entry: Entry, now: float, *, soon: bool) -> None:
        """Ask for this one if it is still open in a second, or `soon`."""
        if soon or not self._schedule:
            self._wake.set()
        self._schedule.later(entry, now, soon=soon)

    def at_once(self, entry: Entry) -> None:
        """Ask for this one now."""
        self._schedule.at_once(entry)
        self._wake.set()

    def all_at_once(self) -> None:
        """Ask for everything now: notices may have been lost."""
        self._schedule.all_at_once()
        self._wake.set()

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            entries = self._schedule.due(self._loop.time())
            if entries:
                await self._ask(entries)
                continue
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._schedule.next_in(self._loop.time())):
                    await self._wake.wait()

    async def _ask(self, entries: list[Entry]) -> None:
        """Ask the verifier for these; what stays open is asked for again, later."""
        answers = await self._answers(entries)
        for answer in answers:
            if isinstance(answer, Verdict):
                self._settle(answer)
        # An answer is one message: where that is too small for all verdicts, it holds those of the first tasks.
        answered = entries[: len(answers)] or entries
        now = self._loop.time()
        for entry in entries[len(answered) :]:
            self._schedule.at_once(entry)
        still = [entry for entry in answered if entry.open]
        for entry in still:
            self._schedule.again(entry, now)
        if now >= self._next_why:
            await self._ask_why([entry for entry in still if entry.asked > _ASKED_TWICE][:_WHY_AT_ONCE])

    async def _answers(self, entries: list[Entry]) -> list[Verdict | Pending]:
        question = encode(VerdictRequest([entry.name for entry in entries]))
        subject = self._bus.subjects.service("verifier", "verdict")
        try:
            body = await self._bus.request_bytes(subject, question, _QUESTION_S)
            if body.startswith(_ERROR):
                raise Malformed("tasks", body.decode(errors="replace"))
            answers = [decode(line, _ANSWER) for line in split_lines(body)]
        except BusError as error:
            _log.debug("the verifier did not answer", tasks=len(entries), reason=str(error))
            if not isinstance(error, NoResponder):
                self._schedule.unanswered()
            return []
        self._schedule.answered()
        return answers

    async def _ask_why(self, entries: list[Entry]) -> None:
        """Notice a rejection that was lost, and a task that never was."""
        if entries:
            self._next_why = self._loop.time() + _WHY_EVERY_S
        subject = self._bus.subjects.service("coordinator", "why")
        for entry in entries:
            try:
                reply = await self._bus.request(
                    subject, WhyRequest(entry.name), WhyReply, timeout_s=_QUESTION_S
                )
            except BusError as error:
                _log.debug("the coordinator did not answer", task=entry.name, reason=str(error))
                return
            self._learn(entry, reply)

    def _learn(self, entry: Entry, reply: WhyReply) -> None:
        if not entry.open:
            return
        error: AmbientError
        if reply.state == "refused":
            error = TaskRejected(reply.field, reply.limit or reply.detail, task=entry.name)
        elif reply.state == "unknown" and reply.limit:
            error = TaskUnknown(
                f"{entry.name} had its verdict, but {reply.limit}: submit it under another id"
            )
        elif reply.state == "unknown" and not entry.submitted_here:
            error = TaskUnknown(
                f"no task {entry.name} is known in cluster {self._bus.subjects.cluster!r}: check its name and the cluster"
            )
        else:
            return
        self._outstanding.forget(entry)
        entry.sink.broken(entry, error)
