"""What the terms of coordinator and verifier have in common: an order of waits, questions to the server, and the lease.

A term's order is a generator that yields what it waits for, as the real one awaits. Whatever ends a term, nothing of its
memory is used again: every callback looks at `over` first.
"""

from collections.abc import Callable, Generator
from typing import Any

from tests.simulation.process import Process, Reader
from tests.simulation.server import LEASE_MS

__all__ = ["Leaders", "Order", "TermShell", "Wait"]

type Wait = Callable[[Callable[..., None]], None]
type Order = Generator[Wait, Any, None]

_RENEW_MS = LEASE_MS / 2
"""Half as often as the real lease: a renewal that succeeds changes nothing, and one that is lost loses the lease either way."""
_TAKE_MS = LEASE_MS / 4
_ANSWER_MS = 1_000.0
_RETRY_MS = 500.0


class TermShell:
    """One term: `serve` is its order; `end` ends it and lets the process begin the next."""

    role = ""

    def __init__(self, process: "Leaders") -> None:
        self.process = process
        self.world = process.world
        self.over = False
        self.leading = False
        self._revision = 0

    def serve(self) -> Order:
        """What the term does, in order."""
        raise NotImplementedError

    def reconnected(self) -> None:
        """The connection is back."""

    def close(self) -> None:
        """Give up what the term holds."""

    def begin(self) -> None:
        """Start."""
        self._drive(self.serve(), None)

    def _drive(self, order: Order, value: Any) -> None:
        if self.over:
            return
        try:
            wait = order.send(value)
        except StopIteration:
            return
        wait(lambda told=None: self._drive(order, told))

    def end(self, why: str, pause_ms: float = 0.0) -> None:
        """The term is over."""
        if self.over:
            return
        self.world.say(self.process.name, f"ends its term: {why}")
        self.over = True
        self.leading = False
        for reader in self.process.readers:
            reader.stop()
        self.process.readers.clear()
        self.close()
        if self._revision:
            revision, self._revision = self._revision, 0
            self.process.send(self.world.server.release_lease, self.role, revision)
        self.process.after(pause_ms, self.process.next_term)

    # What a term waits for

    def last(self, log: str) -> Wait:
        """Where a log ends; without an answer the term ends."""

        def ask(then: Callable[..., None]) -> None:
            answered = False

            def told(sequence: int) -> None:
                nonlocal answered
                if not answered and not self.over:
                    answered = True
                    self.world.call_off(patience)
                    then(sequence)

            def silent() -> None:
                if not answered:
                    self.end("the bus is not ready", _RETRY_MS)

            asked = self.world.server.logs[log]
            self.process.send(self.world.server.ask, self.process.asker(told), lambda: asked.last)
            patience = self.process.after(_ANSWER_MS, silent)

        return ask

    @staticmethod
    def reached(reader: Reader, sequence: int) -> Wait:
        """Until the reader has delivered that entry."""
        return lambda then: reader.reached(sequence, then)

    def lease(self) -> Wait:
        """Until the lease is ours; from then on it is renewed."""

        def hold(then: Callable[..., None]) -> None:
            tried = 0
            server = self.world.server

            def attempt() -> None:
                nonlocal tried
                if self.over or self._revision:
                    return
                tried += 1
                number = tried

                def told(revision: int) -> None:
                    if self.over or number != tried or self._revision:
                        return
                    self.world.call_off(patience)
                    if revision:
                        self._revision = revision
                        self._renew(self.world.now + LEASE_MS)
                        then()
                    else:
                        # The real one asks every half second. Here the server says when it is worth it, and if that
                        # does not arrive, it is asked after some more.
                        self.process.after(LEASE_MS, again, number)
                        server.await_lease(self.role, self.process.asker(lambda _: later(number)))

                self.process.send(
                    server.ask, (asker := self.process.asker(told)),
                    lambda: server.take_lease(self.role, asker),
                )  # fmt: skip
                patience = self.process.after(_TAKE_MS, again, number)

            def later(number: int) -> None:
                self.process.after(self.process.rng.random() * _TAKE_MS, again, number)

            def again(number: int) -> None:
                if number == tried:
                    attempt()

            attempt()

        return hold

    def _renew(self, good_until: float) -> None:
        self.process.after(_RENEW_MS, self._renew_now, good_until)

    def _renew_now(self, good_until: float) -> None:
        if self.over or not self._revision:
            return
        begun, revision, server = self.world.now, self._revision, self.world.server
        if begun >= good_until:
            self._lost()
            return
        answered = False

        def told(renewed: int) -> None:
            nonlocal answered
            if answered or self.over or self._revision != revision:
                return
            answered = True
            self.world.call_off(patience)
            if renewed:
                self._revision = renewed
                self._renew(begun + LEASE_MS)
            else:
                self._lost()

        def silent() -> None:
            if not answered and not self.over and self._revision == revision:
                self._lost()

        self.process.send(
            server.ask, (asker := self.process.asker(told)),
            lambda: server.renew_lease(self.role, asker, revision),
        )  # fmt: skip
        patience = self.process.after(good_until - begun, silent)

    def took_over(self) -> None:
        """The term begins to lead."""
        self.leading = True
        world = self.world
        for process in world.processes.values():
            if process is not self.process and process.kind == self.process.kind and process.leads:
                world.met("two lead")

    def _lost(self) -> None:
        self._revision = 0
        self.world.say(self.process.name, f"has lost the lease {self.role}")
        self.lease_lost()

    def lease_lost(self) -> None:
        """Somebody else may lead now."""
        self.end("the lease was lost")


class Leaders(Process):
    """A process that serves term after term."""

    term: TermShell

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return self.alive and self.term.leading

    @property
    def is_stale(self) -> bool:
        """Whether it believes that it leads, while another holds the lease."""
        return self.leads and not self.world.server.holds_lease(self.term.role, self.name)

    def tell(self, subject: str, body: bytes) -> None:
        """Send a core message to a node or client, who subscribed as the subject's kind and its own name."""
        self.world.watch.told(self.name, subject, body)
        heard_as = ".".join(subject.split(".")[2:4])
        self.send(self.world.server.broadcast, heard_as, subject, body)

    def make_term(self) -> TermShell:
        """A term that knows nothing yet."""
        raise NotImplementedError

    def boot(self) -> None:
        """Begin the first term."""
        self.next_term()

    def next_term(self) -> None:
        """Begin the next one."""
        self.term = self.make_term()
        self.term.begin()

    def stop(self, down_ms: float) -> None:
        """Stop as SIGTERM asks for, and start again later."""
        if self.alive:
            self._take(self.life, self._stop, (down_ms,))

    def _stop(self, down_ms: float) -> None:
        self.world.met("a leader is stopped in order" if self.leads else "a standby is stopped in order")
        self.term.end("it is told to stop")
        self.kill(down_ms, "has stopped")

    def reconnected(self) -> None:
        """Tell the term."""
        if not self.term.over:
            self.term.reconnected()
