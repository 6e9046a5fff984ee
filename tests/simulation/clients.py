"""A client: the SDK's real book of outstanding tasks and its schedule of questions, in a shell like `ambient.courier` and `ambient.inquiry`.

What its user keeps over a crash is what was submitted; a client that starts again submits the same lines again, under the same ids.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from ambient.asking import Schedule
from ambient.errors import AmbientError
from ambient.outstanding import Entry, Outstanding
from bus.messages import Pending, Refused, Verdict, VerdictRequest, WhyReply, WhyRequest
from bus.wire import decode, decoder, sha256_hex, split_lines
from tests.simulation.process import Process
from tests.simulation.scenario import Submission
from tests.simulation.writers import OpenFlight

if TYPE_CHECKING:
    from tests.simulation.world import Timer, World

__all__ = ["Client"]

_ANSWER: msgspec.json.Decoder[Verdict | Pending] = msgspec.json.Decoder(Verdict | Pending)
_REFUSED = decoder(Refused)
_QUESTION_MS = 1_000.0
_ASKED_TWICE = 2


class Client(Process):
    """The process, and itself the sink of all its entries. A name with a prime is a second process of the same client."""

    kind = "client"

    def __init__(self, world: "World", name: str) -> None:
        super().__init__(world, name)
        self.client = name.rstrip("'")
        self.wanted: dict[tuple[str, bytes], None] = {}

    def boot(self) -> None:
        """Listen; submit again whatever has no outcome yet."""
        world = self.world
        subjects, server = world.subjects, world.server
        world.watch.forget_entries(self)
        self.outstanding = Outstanding(self.client)
        self._schedule = Schedule()
        self._asking = False
        self._alarm: Timer | None = None
        self.tasks = OpenFlight(
            self,
            server.logs["tasks"],
            subjects.submit(self.client),
            on_durable=self._on_durable,
            on_refused=self._on_not_stored,
        )
        self.cancels = OpenFlight(
            self,
            server.logs["tasks"],
            subjects.cancel(self.client),
            on_durable=lambda *_: None,
            on_refused=lambda _: False,
        )
        server.subscribe(f"done.{self.client}", self, self._on_done)
        server.subscribe(f"rejected.{self.client}", self, self._on_rejected)
        for name, line in list(self.wanted):
            self._submit(name, line)

    def reconnected(self) -> None:
        """Notices may have been lost."""
        self.tasks.doubt()
        self.cancels.doubt()
        self._schedule.all_at_once()
        self._ask()

    # What the user does

    def submit(self, submission: Submission) -> None:
        """Submit lines, or cancel a task."""
        if not self.alive:
            return  # its user is away
        if submission.cancel:
            self.cancels.append(b'{"id":"%s"}' % submission.cancel.partition(".")[2].encode(), None)
        for line in submission.lines:
            name = json.loads(line).get("id")
            if name is None:
                self.tasks.append(line, None)
            else:
                self.wanted[name, line] = None
                self._submit(name, line)
        if submission.again:
            # A bare line that is sent twice is two tasks, and that is not asked for here.
            named = tuple(line for line in submission.lines if b'"id"' in line)
            again = replace(submission, again=submission.again - 1, lines=named)
            self.after(submission.every_ms, self._submit_again, again)

    def _submit_again(self, submission: Submission) -> None:
        self.world.met("a client submits again, unasked")
        self.submit(submission)

    def _submit(self, name: str, line: bytes) -> None:
        entry = Entry(f"{self.client}.{name}", line, self, digest=sha256_hex(line))
        self.tasks.append(line, (entry, line))
        self.outstanding.add(entry)
        self.world.watch.expected(entry, self.name)

    # What the log says

    def _on_durable(self, sequence: int, tokens: list[tuple[Entry, bytes] | None]) -> None:
        self.world.watch.acknowledged(self.client, sequence)
        # A bare line takes its place among the entries, so that the others' places are right.
        entries = [token[0] if token is not None else Entry("", b"", self) for token in tokens]
        refusals = self.outstanding.stored(sequence, entries)
        for token in tokens:
            if token is not None and token[0].open:
                self._schedule.later(token[0], self.world.now / 1000, soon=True)
        self._ask_later()
        for entry, refused in refusals:
            self._over(entry, f"refused: {refused.field}")

    def _on_not_stored(self, tokens: list[tuple[Entry, bytes] | None]) -> bool:
        for entry in self.outstanding.not_stored([token[0] for token in tokens if token is not None]):
            self._over(entry, "not stored: the log is full")
        return False

    # Notices

    def _on_done(self, subject: str, body: bytes) -> None:
        del subject
        for line in split_lines(body):
            self._settle(decode(line, _ANSWER))

    def _settle(self, verdict: Verdict | Pending) -> None:
        if isinstance(verdict, Verdict):
            for entry, other_body in self.outstanding.settle(verdict):
                if other_body is None:
                    self.settled(entry, verdict, None)
                else:
                    self.world.met("another body had the id")
                    self._over(entry, "the id was used before")

    def _on_rejected(self, subject: str, body: bytes) -> None:
        del subject
        for line in split_lines(body):
            refused = decode(line, _REFUSED)
            entry = self.outstanding.refused(refused)
            if entry is not None:
                self._over(entry, f"refused: {refused.field}")

    # Outcomes

    def settled(self, entry: Entry, verdict: Verdict, output: bytes | None) -> None:
        """The entry has its verdict."""
        del output
        self.world.watch.handed_out(entry, verdict)
        self._over(entry, verdict.status)

    def _over(self, entry: Entry, how: str) -> None:
        self.world.watch.closed(entry)
        self.world.say(self.name, f"hears of {entry.name}: {how}")
        name = entry.name.partition(".")[2]
        for wanted in [
            each for each in self.wanted if each[0] == name and sha256_hex(each[1]) == entry.digest
        ]:
            del self.wanted[wanted]

    def stored(self, entry: Entry) -> None:
        """Part of a sink."""

    def not_stored(self, entry: Entry, error: AmbientError) -> None:
        """Part of a sink."""

    def broken(self, entry: Entry, error: AmbientError) -> None:
        """Part of a sink."""

    # Questions

    def _ask_later(self) -> None:
        wait_s = self._schedule.next_in(self.world.now / 1000)
        if wait_s is not None and not self._asking:
            self.world.call_off(self._alarm)
            self._alarm = self.after(wait_s * 1000 + 1, self._ask)

    def _ask(self) -> None:
        if self._asking:
            return
        entries = self._schedule.due(self.world.now / 1000)
        if not entries:
            self._ask_later()
            return
        self._asking = True
        asked = [False]

        def told(lines: list[bytes] | None) -> None:
            if not asked[0]:
                asked[0] = True
                self._asking = False
                self.world.call_off(patience)
                self._heard(entries, lines)

        request = VerdictRequest([entry.name for entry in entries])
        self.send(self.world.server.request, "verifier", "verdict", request, self.asker(told))
        patience = self.after(_QUESTION_MS, told, None)

    def _heard(self, entries: list[Entry], lines: list[bytes] | None) -> None:
        now = self.world.now / 1000
        if lines is not None:
            self._schedule.answered()
            for line in lines:
                answer = decode(line, _ANSWER)
                if isinstance(answer, Verdict):
                    self.world.met("verdict found by asking")
                self._settle(answer)
        still = [entry for entry in entries if entry.open]
        for entry in still:
            self._schedule.again(entry, now)
            if entry.asked > _ASKED_TWICE:
                self._ask_why(entry)
        self._ask_later()

    def _ask_why(self, entry: Entry) -> None:
        def told(reply: WhyReply | None) -> None:
            if reply is None or not entry.open:
                return
            # As `ambient.inquiry` does: refused, or its verdict is no longer kept.
            if reply.state == "refused" or (reply.state == "unknown" and reply.limit):
                self.outstanding.forget(entry)
                self._over(entry, f"{reply.state}: {reply.field}")

        request: Any = WhyRequest(entry.name)
        self.send(self.world.server.request, "coordinator", "why", request, self.asker(told))
