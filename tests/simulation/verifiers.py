"""A verifier process: the real core and merge in a shell like `verifier.term`; notices and answers are composed by the real code."""

from collections.abc import Callable
from typing import Any

from bus.messages import Pending, VerdictRequest
from bus.reader import Entry
from bus.signing import VERDICTS, open_signed
from bus.wire import encode
from tests.simulation.identity import CheapIdentity
from tests.simulation.keeping import Keeper
from tests.simulation.leading import Leaders, Order, TermShell, Wait
from tests.simulation.process import Reader
from tests.simulation.server import LEASE_MS
from tests.simulation.writers import FencedFlight
from verifier.checkpoint import pack, restore
from verifier.claims import Claims, Refusal, open_claims
from verifier.core import Emission
from verifier.merge import Merge
from verifier.notices import compose

__all__ = ["Verifier", "VerifierTerm"]

_GRACE_MS = 50.0
_HOLD_ON_MS = 3 * LEASE_MS
_WARM = 4
"""Of so few closed tasks all is remembered, so that runs of older ones are made, and forgotten, in short histories."""


class VerifierTerm(TermShell):
    """One term: follow, take over, judge."""

    role = "verifier"
    flight: type[FencedFlight] = FencedFlight

    def __init__(self, process: "Verifier") -> None:
        super().__init__(process)
        logs = self.world.server.logs
        self.core = self.world.parts.verifier_core()
        self._identity = CheapIdentity(process.name)  # its own, as that of every verifier
        self._merge = Merge()
        self._decisions = Reader(process, logs["assignments"], self._on_decisions, self._on_cut)
        self._results = Reader(process, logs["results"], self._on_results, self._on_cut)
        self._verdicts = Reader(process, logs["verdicts"], self._on_verdicts, self._on_cut)
        self._writer: FencedFlight | None = None
        self._written = 0
        self._losses = 0
        self._asking = False
        self._end_of_log = 0
        self._judging = True
        self.core.settled.most_warm = _WARM
        self._keeper = Keeper(
            self,
            self.core.settled.old,
            hold=self._hold,
            is_quiet=self._is_quiet,
            state=self._state,
            on_saved=self._forget,
        )

    # The order of things

    def serve(self) -> Order:
        """As `verifier.term.Term.serve`."""
        pairs = (
            ("verdicts", self._verdicts),
            ("assignments", self._decisions),
            ("results", self._results),
        )
        kept = yield self._keeper.begin()
        if kept is not None:
            restore(self.core, kept.packed, kept.runs)
        for log, reader in pairs:
            reader.position = kept.positions[log] if kept is not None else 0
            reader.start()
            yield self.reached(reader, (yield self.last(log)))
        yield self.lease()
        for log, reader in (pairs[1], pairs[2], pairs[0]):
            yield self.reached(reader, (yield self.last(log)))
        self._verdicts.stop()
        opening = self.core.lead(self.process.name)
        self._written = self._verdicts.position
        self._writer = self.flight(
            self.process,
            self.world.server.logs["verdicts"],
            self.world.subjects.verdicts,
            last=self._written,
            on_durable=self._on_durable,
            on_fenced=lambda: self.end("another verifier writes"),
            seal=lambda members: self._identity.seal(VERDICTS, members),
        )
        if self._written:
            self.world.met("a verifier takes over")
        self._writer.append(opening.line, opening)
        self._lead()

    def _lead(self) -> None:
        self.world.say(self.process.name, f"judges from {self._written} on")
        self.took_over()
        self._judge()
        self._keeper.run()
        self.world.server.open_desk("verifier", self.process, self._answer)

    def _on_cut(self) -> None:
        self.end("a log was cut under it")

    def _hold(self, *, held: bool) -> None:
        self._judging = not held
        if not held and self.leading:
            self._judge()

    def _is_quiet(self) -> bool:
        return self._writer is not None and self._writer.idle

    def _state(self) -> tuple[dict[str, int], bytes]:
        oldest = self._merge.oldest
        positions = {
            "assignments": self.core.decided,
            "results": oldest - 1 if oldest else self._results.position,
            "verdicts": self._written,
        }
        return positions, pack(self.core)

    def _forget(self) -> None:
        """As `verifier.term.Term._forget`, after each checkpoint."""
        server = self.world.server

        def told(first: int) -> None:
            if not self.over:
                self.core.settled.old.forget(first)

        self.process.send(server.ask, self.process.asker(told), lambda: server.logs["verdicts"].first)

    def lease_lost(self) -> None:
        """As `verifier.term.Term._hold_on`."""
        if not self.leading:
            self.end("the lease was lost before it led")
            return
        self.leading = False
        self.world.server.close_desk("verifier", self._answer)
        self._losses += 1
        self.process.after(_HOLD_ON_MS, self._held_on, self._losses)
        self._drive(self._hold_on(), None)

    def _held_on(self, losses: int) -> None:
        if not self.leading and losses == self._losses:
            self.end("the lease was lost")

    def _hold_on(self) -> Order:
        assert self._writer is not None
        yield self.lease()
        yield self._flushed()
        if (yield self.last("verdicts")) == self._written:
            self.world.met("a verifier holds on")
            self._lead()
        else:
            self.end("another verifier wrote")

    def _flushed(self) -> Wait:
        def wait(then: Callable[..., None]) -> None:
            assert self._writer is not None
            if self._writer.idle:
                then()
            else:
                self.process.after(_GRACE_MS, wait, then)

        return wait

    def close(self) -> None:
        """As `verifier.term.Term.close`."""
        self.world.server.close_desk("verifier", self._answer)
        if self._writer is not None:
            self._writer.stop()

    def reconnected(self) -> None:
        """Answers to writes were lost."""
        if self._writer is not None:
            self._writer.doubt()

    # What comes in

    def _on_decisions(self, entry: Entry) -> None:
        self.core.fold_decisions(entry.sequence, entry.body)
        self._fold(self._merge.advance(self.core.decided))

    def _on_results(self, entry: Entry) -> None:
        opened = open_claims(entry)
        if isinstance(opened, Refusal):
            self.core.refuse(opened)
            return
        owner = self.core.owner(opened.node)
        if owner is not None and owner != opened.key:
            self.core.fold_claims(opened)
            return
        self._fold(self._merge.offer(opened, self.core.decided))
        if self._merge and not self._asking:
            self._asking = True
            self.world.met("claim that waits for its decision")
            self.process.after(_GRACE_MS, self._ask_for_the_end)

    def _on_verdicts(self, entry: Entry) -> None:
        self.core.fold_verdicts(entry.sequence, entry.body)

    def _fold(self, ready: list[Claims]) -> None:
        for claims in ready:
            self.core.fold_claims(claims)
        self.core.refuse_future(self._merge.take_dropped())
        if self.leading and self._judging:
            self._judge()

    def _judge(self) -> None:
        assert self._writer is not None
        for emission in self.core.judge():
            self._writer.append(emission.line, emission)

    def _on_durable(self, sequence: int, emissions: list[Emission]) -> None:
        self._written = sequence
        self.core.placed(sequence, emissions)
        self.notify(emissions)

    def notify(self, emissions: list[Emission]) -> None:
        """Tell the clients."""
        for subject, body in compose(self.world.subjects, emissions):
            self.process.tell(subject, body)

    def _ask_for_the_end(self) -> None:
        if self.over:
            return
        if not self._merge:
            self._asking = False
            return
        self.process.after(_GRACE_MS, self._ask_for_the_end)
        if self._merge.horizon <= self._end_of_log:
            return
        newest = self._merge.newest
        log = self.world.server.logs["assignments"]

        def told(end: int) -> None:
            if not self.over:
                self._end_of_log = end
                self._merge.cut(end, newest)
                self._fold(self._merge.advance(self.core.decided))

        server = self.world.server
        self.process.send(server.ask, self.process.asker(told), lambda: log.last)

    # Questions

    def _answer(self, endpoint: str, asked: VerdictRequest, reply: Callable[[Any], None]) -> None:
        del endpoint
        if self.over:
            return
        lines = []
        for task in asked.tasks:
            place = self.core.place(task)
            if place is None or not self.world.server.logs["verdicts"].holds(place[0]):
                lines.append(encode(Pending(task)))
            else:
                entry = self.world.server.logs["verdicts"].at(place[0])
                lines.append(open_signed(entry.body, VERDICTS)[1][place[1]])
        reply(lines)


class Verifier(Leaders):
    """The process."""

    kind = "verifier"

    def make_term(self) -> TermShell:
        """A term that knows nothing yet."""
        return self.world.parts.verifier_term(self)
