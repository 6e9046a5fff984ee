"""One task's whole story, from what is remembered and, where that has gaps, from the logs themselves.

Guarantees that a story is complete as far as the logs reach, however long ago the task ended: its verdict names the places of the submission and of the
results, each result that of its decision. What was cut from the logs is left out.
"""

import asyncio
from collections import OrderedDict
from typing import Any

import msgspec

from bus import leader
from bus.connection import Bus
from bus.errors import BusUnavailable, Malformed
from bus.leader import Message
from bus.messages import (
    Assigned,
    Pending,
    TaskState,
    Verdict,
    VerdictRequest,
    WhyReply,
    WhyRequest,
)
from bus.reader import Entry
from bus.wire import encode, split_documents
from gateway.asking import Asking, answered
from gateway.errors import NotFound
from gateway.resources.tasks import Accepted, Asked, Claimed, Decided, Proven, TaskDetail
from gateway.view.book import Record
from gateway.view.core import View
from gateway.view.lines import claimed_lines, decision_lines

__all__ = ["Stories"]

_ANSWER: msgspec.json.Decoder[Verdict | Pending] = msgspec.json.Decoder(Verdict | Pending)
_VERDICT = msgspec.json.Decoder(Verdict)
_MOST_EVIDENCE = 32
_MOST_READ = 2048
_MOST_SPEC_BYTES = 8192
"""A larger one holds its input, and two thousand of these would be too much to keep."""
type _Place = tuple[int, int] | None
type _Key = tuple[str, _Place, _Place]
_JSON = msgspec.json.Decoder(msgspec.Raw)


class Stories:
    """Tells stories out of `view` and the logs."""

    def __init__(self, bus: Bus, view: View, asking: Asking) -> None:
        self._bus = bus
        self._view = view
        self._asking = asking
        self._read: OrderedDict[_Key, tuple[Asked | None, Accepted | None]] = OrderedDict()

    def __repr__(self) -> str:
        """Out of what."""
        return f"Stories({self._view.book!r})"

    async def tell(self, name: str) -> TaskDetail:
        """The story of a task. Raises `NotFound` where nobody knows it, `Unavailable` where nobody can be asked."""
        record = self._view.book.get(name)
        if record is None or (record.settled is None and not record.asked_ms and not record.is_refused):
            return await self._told_elsewhere(name, record)
        asked, accepted = await self._from_logs(name, record)
        return self._detail(name, record.state, asked, record.decided, record.claimed, accepted)

    async def _from_logs(self, name: str, record: Record) -> tuple[Asked | None, Accepted | None]:
        """What only the logs hold; of a task that has its verdict it is the same for ever, so the ones asked for last are kept."""
        key = (name, record.source, record.settled.place if record.settled is not None else None)
        found = self._read.get(key)
        if found is not None:
            self._read.move_to_end(key)
            return found
        asked = await self._asked(name, record.source, record.asked_ms)
        found = asked, await self._accepted(record)
        if record.settled is not None and (asked is None or len(bytes(asked.spec)) <= _MOST_SPEC_BYTES):
            self._read[key] = found
            if len(self._read) > _MOST_READ:
                self._read.popitem(last=False)
        return found

    async def verdict(self, name: str) -> Verdict | None:
        """The verdict as it stands in the log; None while there is none, or where it was cut. Raises `Unavailable`."""
        record = self._view.book.get(name)
        if record is not None and record.settled is not None:
            found = await self._verdict_at(*record.settled.place)
            if found is not None:
                return found
        return await self._asked_for(name)

    async def _asked_for(self, name: str) -> Verdict | None:
        subject = self._bus.subjects.service("verifier", "verdict")
        with answered():
            body = await self._bus.request_bytes(subject, encode(VerdictRequest([name])))
            try:
                found = _ANSWER.decode(body.split(b"\n", 1)[0])
            except msgspec.MsgspecError:
                raise BusUnavailable(
                    f"the verifier cannot say the verdict of {name} just now: ask again"
                ) from None
        return found if isinstance(found, Verdict) else None

    async def _told_elsewhere(self, name: str, record: Record | None) -> TaskDetail:
        """Of a task that this gateway has not read of, or not all."""
        verdict = await self._asked_for(name)
        if verdict is None:
            why = await self._asking.ask("coordinator", "why", WhyRequest(name), WhyReply)
            if why.state == "unknown":
                raise NotFound(f"no task {name} is known: {why.detail}", task=name)
            decided = record.decided if record is not None else []
            claimed = record.claimed if record is not None else []
            return self._detail(name, why.state, None, decided, claimed, None)
        claims = await asyncio.gather(*(self._claimed(*place) for place in verdict.evidence[:_MOST_EVIDENCE]))
        found = [claim for claim in claims if claim is not None]
        decisions = {decision: await self._decided(decision, name) for _, decision in found}
        place = record.settled.place if record is not None and record.settled is not None else (0, 0)
        at_ms = record.settled.at_ms if record is not None and record.settled is not None else 0
        return self._detail(
            name,
            verdict.status,
            await self._asked(name, verdict.source if verdict.source[0] else None, 0),
            [each for each in decisions.values() if each is not None],
            [claim for claim, _ in found],
            _accepted(verdict, place, at_ms),
        )

    def _detail(  # noqa: PLR0917 -- the chapters of a story, in their order
        self,
        name: str,
        state: TaskState,
        asked: Asked | None,
        decided: list[Decided],
        claimed: list[Claimed],
        accepted: Accepted | None,
    ) -> TaskDetail:
        proven = Proven(state="none", said="there is no verdict, yet")
        counted = set[str]()
        if accepted is not None:
            counted = {*accepted.agree, *accepted.dissent}
            proven = self._view.anchors.proven(accepted.sequence) if accepted.sequence else _elsewhere()
        return TaskDetail(
            task=name,
            client=name.partition(".")[0],
            state=state,
            asked=asked,
            decided=decided,
            claimed=[
                msgspec.structs.replace(each, counted=each.status != "fault" and each.node in counted)
                for each in claimed
            ],
            accepted=accepted,
            proven=proven,
        )

    async def _accepted(self, record: Record) -> Accepted | None:
        settled = record.settled
        if settled is None:
            return None
        verdict = await self._verdict_at(*settled.place)
        if verdict is not None:
            return _accepted(verdict, settled.place, settled.at_ms)
        line = settled.line  # cut from the log meanwhile: what is remembered of it
        return Accepted(
            at_ms=settled.at_ms,
            sequence=settled.place[0],
            line=settled.place[1],
            status=line.status,  # type: ignore[arg-type]  # read from a verdict
            reason=line.reason,
            agree=line.agree,
            dissent=line.dissent,
            faulted=line.faulted,
            verify=line.verify,
            fuel=line.fuel,
            wall_ms=line.wall_ms,
            energy_j=line.energy_j,
        )

    async def _asked(self, name: str, source: tuple[int, int] | None, asked_ms: int) -> Asked | None:
        if source is None:
            return None
        client = name.partition(".")[0]
        message = await self._at("tasks", source[0])
        spec = msgspec.Raw(b"null")
        if message is not None:
            try:
                spec = _JSON.decode(split_documents(message.data)[source[1]])
            except (Malformed, IndexError, msgspec.MsgspecError):
                spec = msgspec.Raw(
                    b"null"
                )  # what is no JSON cannot be shown as such; the refusal says what was wrong
        at_ms = asked_ms or (message.at_ms if message is not None else 0)
        return Asked(client=client, at_ms=at_ms, sequence=source[0], line=source[1], spec=spec)

    async def _verdict_at(self, sequence: int, line: int) -> Verdict | None:
        message = await self._at("verdicts", sequence)
        if message is None:
            return None
        lines = message.data.split(b"\n")
        members = lines[1:] if message.data.startswith(b'{"payloadType"') else lines
        try:
            return _VERDICT.decode(members[line])
        except (IndexError, msgspec.MsgspecError):
            return None

    async def _claimed(self, sequence: int, line: int) -> tuple[Claimed, int] | None:
        """The claim at a place in RESULTS, and the sequence of its decision."""
        message = await self._at("results", sequence)
        if message is None:
            return None
        for number, claim in claimed_lines(_entry(message)):
            if number == line:
                return Claimed(
                    node=claim.node,
                    at_ms=message.at_ms,
                    sequence=sequence,
                    line=line,
                    attempt=claim.attempt,
                    status=claim.status,
                    reason=claim.reason,
                    wall_ms=claim.wall_ms,
                    fuel=claim.fuel,
                    energy_j=claim.energy_j,
                    energy_method=claim.energy_method,
                ), claim.decision
        return None

    async def _decided(self, sequence: int, name: str) -> Decided | None:
        message = await self._at("assignments", sequence)
        if message is None:
            return None
        for _, line in decision_lines(_entry(message)):
            if isinstance(line, Assigned) and line.task == name:
                return Decided(
                    kind="assigned",
                    at_ms=message.at_ms,
                    sequence=sequence,
                    attempt=line.attempt,
                    nodes=line.nodes,
                    replaces=line.replaces,
                )
        return None

    async def _at(self, log: str, sequence: int) -> Message | None:
        """The message at a sequence; None where the log no longer has it. Raises `Unavailable`."""
        if sequence < 1:
            return None
        with answered():
            found = await leader.first_from(self._bus, self._bus.subjects.stream(log), sequence)
        return found if found is not None and found.seq == sequence else None


def _entry(message: Message) -> Entry:
    return Entry(message.seq, message.at_ms, message.subject, message.data)


def _elsewhere() -> Proven:
    return Proven(
        state="logged",
        said="its verdict is older than what this gateway remembers: its receipt says how far it is",
    )


def _accepted(verdict: Verdict, place: tuple[int, int], at_ms: int) -> Accepted:
    said: dict[str, Any] = {
        name: getattr(verdict, name) for name in Accepted.__struct_fields__ if hasattr(verdict, name)
    }
    said["stderr"] = verdict.stderr.decode(errors="replace")
    return Accepted(at_ms=at_ms, sequence=place[0], line=place[1], **said)
