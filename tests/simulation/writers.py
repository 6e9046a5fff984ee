"""The two writers of logs, as `bus.writer` and `bus.commit` have them: group commit, a window in flight, and what a lost answer means.

Batches are smaller than the real ones, so that there are more moments between two writes in which a process can die.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bus.fence import Fence
from bus.wire import join_lines
from tests.simulation.process import Process
from tests.simulation.server import FULL, Log

if TYPE_CHECKING:
    from tests.simulation.world import Timer

__all__ = ["FencedFlight", "OpenFlight"]

_WINDOW = 4
_LINES = (1, 1, 2, 3)
_RETRY_MS = 250.0
_PATIENCE_MS = 1_500.0
"""How long an answer is waited for; shorter than the real writers' time, so that less happens beside it."""


class _Batch:
    __slots__ = ("answer", "body", "expected", "message_id", "patience", "tokens", "tries")

    def __init__(self, body: bytes, tokens: list[Any]) -> None:
        self.body = body
        self.tokens = tokens
        self.expected = 0
        self.message_id = ""
        self.tries = 0
        self.answer: int | str | None = None
        self.patience: Timer | None = None


class _Flight:
    """What both have in common: lines wait, go out in batches, and are told of in order."""

    def __init__(
        self,
        process: Process,
        log: Log,
        subject: str,
        *,
        on_durable: Callable[[int, list[Any]], None],
        seal: Callable[[Sequence[bytes]], bytes] = join_lines,
    ) -> None:
        self.process = process
        self.log = log
        self.ended = False
        self._subject = subject
        self._on_durable = on_durable
        self._seal = seal
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._in_flight: deque[_Batch] = deque()
        self._recovering = False
        self._fill_is_due = False

    @property
    def idle(self) -> bool:
        """Whether everything appended is durable."""
        return not self._waiting and not self._in_flight

    def append(self, line: bytes, token: Any) -> None:
        """Queue one line."""
        self._waiting.append((line, token))
        if not self._fill_is_due:
            self._fill_is_due = True
            self.process.after(0.0, self._fill)

    def stop(self) -> None:
        """Write no more; what is in flight stays undecided."""
        self.ended = True

    def doubt(self) -> None:
        """The connection was lost: answers under way will not come."""
        for batch in self._in_flight:
            if batch.answer is None:
                batch.tries += 1
                batch.answer = ""
        self._settle()

    def _fill(self) -> None:
        self._fill_is_due = False
        random = self.process.rng.random
        while self._waiting and len(self._in_flight) < _WINDOW and not self.ended and not self._recovering:
            taken = [
                self._waiting.popleft()
                for _ in range(min(_LINES[int(random() * len(_LINES))], len(self._waiting)))
            ]
            batch = _Batch(self._seal([line for line, _ in taken]), [token for _, token in taken])
            self._number(batch)
            self._in_flight.append(batch)
            self._transmit(batch)

    def _transmit(self, batch: _Batch) -> None:
        batch.tries += 1
        batch.answer = None
        process, server = self.process, self.process.world.server
        answered = (self._answered, batch, batch.tries)
        process.send(
            server.publish, process.asker(_bound(*answered)), self.log, self._subject, batch.body,
            self._headers(batch),
        )  # fmt: skip
        process.world.call_off(batch.patience)
        batch.patience = process.after(_PATIENCE_MS, self._answered, batch, batch.tries, "")

    def _answered(self, batch: _Batch, tries: int, answer: int | str) -> None:
        if batch.tries == tries and batch.answer is None and not self.ended:
            batch.answer = answer
            self.process.world.call_off(batch.patience)
            self._settle()

    def _settle(self) -> None:
        while self._in_flight and not self.ended and not self._recovering:
            batch = self._in_flight[0]
            if batch.answer is None:
                break
            if isinstance(batch.answer, str):
                self._recovering = True
                self._recover(batch, batch.answer)
                return
            self._done(batch, batch.answer)
        self._fill()

    def _done(self, batch: _Batch, sequence: int) -> None:
        self._in_flight.popleft()
        self._on_durable(sequence, batch.tokens)

    def _resend(self) -> None:
        self.process.world.met("sent again")
        for batch in self._in_flight:
            batch.tries += 1  # answers to the earlier tries are not waited for any more
            batch.answer = None
        self.process.after(_RETRY_MS, self._resend_now)

    def _resend_now(self) -> None:
        self._recovering = False
        if not self.ended:
            for batch in self._in_flight:
                self._transmit(batch)

    def _number(self, batch: _Batch) -> None:
        raise NotImplementedError

    def _headers(self, batch: _Batch) -> dict[str, str]:
        raise NotImplementedError

    def _recover(self, batch: _Batch, answer: str) -> None:
        raise NotImplementedError


def _bound(call: Callable[..., None], *first: Any) -> Callable[..., None]:
    return lambda *rest: call(*first, *rest)


class FencedFlight(_Flight):
    """The one writer of a log, beginning after sequence `last`; `on_fenced` is called if another wrote."""

    def __init__(
        self,
        process: Process,
        log: Log,
        subject: str,
        *,
        last: int,
        on_fenced: Callable[[], None],
        **more: Any,
    ) -> None:
        super().__init__(process, log, subject, **more)
        self._fence = Fence(f"{process.name}-{process.world.number()}", last)
        self._on_fenced = on_fenced

    def _number(self, batch: _Batch) -> None:
        batch.expected = self._fence.number()

    def _headers(self, batch: _Batch) -> dict[str, str]:
        return self._fence.headers(batch.expected, decided=batch is self._in_flight[0])

    def _recover(self, batch: _Batch, answer: str) -> None:
        del (
            answer
        )  # whatever was said, the log itself knows: a refusal may follow our own write whose answer was lost
        self._ask(batch)

    def _ask(self, batch: _Batch) -> None:
        if self.ended or not self._in_flight or self._in_flight[0] is not batch:
            return
        process, at = self.process, batch.expected
        tries = batch.tries = batch.tries + 1

        def question() -> Any:
            if at > self.log.last:
                return None
            # What was cut is nobody's: whoever asks for it has long been overtaken.
            return (self.log.headers_at(at), self.log.at(at).body) if self.log.holds(at) else ({}, b"")

        def told(stored: tuple[dict[str, str], bytes] | None) -> None:
            process.world.call_off(patience)
            if batch.tries == tries and not self.ended:
                batch.tries += 1
                self._learn(batch, stored)

        def again() -> None:
            if batch.tries == tries:
                self._ask(batch)

        process.send(process.world.server.ask, process.asker(told), question)
        patience = process.after(_RETRY_MS * 4, again)

    def _learn(self, batch: _Batch, stored: tuple[dict[str, str], bytes] | None) -> None:
        if stored is None:
            self._resend()
        elif self._fence.wrote(*stored, batch.body):
            self._recovering = False
            self.process.world.met("looked up, and its own")
            self._done(batch, batch.expected)
            self._settle()
        else:
            self.ended = True
            self.process.world.say(self.process.name, f"is refused by {self.log.name}: another writes")
            self.process.world.met(f"a writer gives way: {self.log.name}")
            self._on_fenced()


class OpenFlight(_Flight):
    """One of many writers; `on_refused(tokens)` decides whether a full log is tried again."""

    def __init__(
        self,
        process: Process,
        log: Log,
        subject: str,
        *,
        on_refused: Callable[[list[Any]], bool] = lambda _: True,
        **more: Any,
    ) -> None:
        super().__init__(process, log, subject, **more)
        self._on_refused = on_refused
        self._name = f"{process.name}-{process.world.number()}"
        self._sent = 0

    def _number(self, batch: _Batch) -> None:
        self._sent += 1
        batch.message_id = f"{self._name}-{self._sent}"

    def _headers(self, batch: _Batch) -> dict[str, str]:
        return {"Nats-Msg-Id": batch.message_id}

    def _recover(self, batch: _Batch, answer: str) -> None:
        if answer == FULL and not self._on_refused(batch.tokens):
            self._in_flight.popleft()
            self._recovering = False
            self._settle()
        else:
            self._resend()
