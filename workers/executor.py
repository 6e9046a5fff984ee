"""Does what the core orders: hands attempts to the pool, signs what came of them, and gets it into RESULTS.

Guarantees: a claim is in the outbox before it is published, is published until it is durable, and leaves the outbox
then. On the way from assignment to claim there is no task of the event loop per attempt unless blobs are involved;
outcomes that arrive in one turn of the loop are claimed together, and none waits for a timer.
"""

import asyncio
import functools
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from bus.blobs import Blobs
from bus.connection import Bus, Received
from bus.errors import BusError, BusUnavailable, LogFull, Malformed
from bus.messages import Drain, Goodbye, Instruction, Result
from bus.signing import GOODBYE, RESULTS, Identity
from bus.steps import BARE, STEPS
from bus.wire import decode, decoder, encode, split_lines
from bus.writer import OpenWriter
from sandbox.job import Outcome
from sandbox.pool import Pool
from sandbox.store import ModuleStore
from workers.answers import claim
from workers.attempt import Attempt, Need, attempt_key
from workers.core import NodeCore, Orders
from workers.energy import EnergyMeter
from workers.faults import Fault, crash, lied
from workers.figures import Figures
from workers.materials import Materials
from workers.outbox import Outbox, Place
from workers.steps import tell_claimed, tell_ordered, tell_ran

__all__ = ["Executor"]

_log = structlog.get_logger("workers.executor")

_INSTRUCTION: msgspec.json.Decoder[Instruction] = msgspec.json.Decoder(Instruction)
_RESULT = decoder(Result)
UPLOAD_RETRY_S = 0.5


class Token(NamedTuple):
    """A claim on its way: the attempt's key, its place in the outbox, and how the task came in (None: of an earlier run of this node)."""

    key: str
    place: Place
    path: str | None


class Executor:
    """The hands of one node. `on_enrol`, `on_drain` and `on_undrain` are called when the coordinator asks for that."""

    def __init__(
        self,
        *,
        bus: Bus,
        node: str,
        identity: Identity,
        core: NodeCore,
        pool: Pool,
        store: ModuleStore,
        outbox: Outbox,
        meter: EnergyMeter,
        fault_switch: Fault,
        on_enrol: Callable[[], None],
        on_drain: Callable[[Drain], None],
        on_undrain: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._node = node
        self._identity = identity
        self._core = core
        self._pool = pool
        self._outbox = outbox
        self._meter = meter
        self._fault = fault_switch
        self._on_enrol = on_enrol
        self._on_drain = on_drain
        self._on_undrain = on_undrain
        self._blobs = Blobs(bus, node)
        self._materials = Materials(
            bus,
            self._blobs,
            store,
            on_here=lambda need, data: self._follow(core.fetched(need, data)),
            on_lost=self._on_lost,
        )
        self.writer: OpenWriter[Token] = OpenWriter(
            bus,
            bus.subjects.stream("results"),
            bus.subjects.results(node),
            on_durable=self._on_durable,
            seal=functools.partial(identity.seal, RESULTS),
            on_refused=self._on_refused,
        )
        self.figures = Figures()
        self._outcomes: list[tuple[Attempt, Outcome]] = []
        self._claimed = 0
        self._held_back = 0
        self._refusal = ""
        self._no_room: dict[str, str] = {}
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def start(self) -> None:
        """Begin to write; first what an earlier process left in the outbox."""
        self.writer.start()
        for line, place in self._outbox.left:
            try:
                result = decode(line, _RESULT)
            except Malformed as error:
                _log.warning("a damaged claim in the outbox is dropped", reason=str(error))
                continue
            if result.node != self._node:
                _log.warning("a claim of another node id is dropped", node=result.node, task=result.task)
                continue
            key = attempt_key(result.task, result.attempt)
            self._core.remember((key,))
            self.writer.append(line, Token(key, place, None))
        if self._outbox.left:
            _log.info("sending what an earlier run left", claims=len(self._outbox.left))
            self._outbox.left.clear()

    async def on_message(self, message: Received) -> None:
        """Take in a message of the node's subject; a line that is no instruction is logged and skipped."""
        try:
            self._follow(self._core.instruct(_read(message.data)))
        except Exception:
            # The client library would drop what is raised here without a word.
            _log.exception("instructions could not be followed", subject=message.subject)
            raise

    def drain(self, *, leaving: bool) -> None:
        """Take no more work, for good if `leaving`; hand back what is not begun."""
        # A slot runs its jobs in order. Should the first have ended just now, the next is stopped and handed back: no harm.
        begun: dict[int, Attempt] = {}
        for attempt in self._core.with_pool:
            if attempt.ticket is not None and attempt.ticket.slot is not None:
                first = begun.setdefault(attempt.ticket.slot, attempt)
                if first.ticket is not None and attempt.ticket.number < first.ticket.number:
                    begun[attempt.ticket.slot] = attempt
        keys = {attempt.key for attempt in begun.values()}
        self._follow(self._core.drain(lambda attempt: attempt.key in keys, leaving=leaving))

    def hand_back_all(self) -> None:
        """Stop what runs, too, and hand it back. Only for a node that drains."""
        self._follow(self._core.drain(lambda _: False, leaving=False))

    async def quiet(self) -> None:
        """Wait until nothing is open and every claim is durable."""
        while not self._core.is_idle or self._held_back:
            self._changed.clear()
            await self._changed.wait()
        await self.writer.flushed()

    async def close(self) -> None:
        """Stop running, fetching, uploading and writing; nothing is claimed any more."""
        self._closed = True
        for attempt in self._core.with_pool:
            if attempt.ticket is not None:
                self._pool.cancel(attempt.ticket)
        await self._materials.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.writer.stop()

    # Orders

    def _follow(self, orders: Orders) -> None:
        for attempt in orders.stop:
            if attempt.ticket is not None:
                self._pool.cancel(attempt.ticket)
        if orders.answer:
            self._claim(orders.answer)
        for need in orders.fetch:
            self._materials.fetch(need)
        if self._fault.kind != "silent":
            for attempt in orders.run:
                attempt.ticket = self._pool.submit(attempt.job, functools.partial(self._on_outcome, attempt))
        if orders.hand_back:
            self._spawn(self._hand_back(tuple(orders.hand_back)))
        self._pass_on(orders)
        self._changed.set()
        if STEPS.on:
            tell_ordered(orders)

    def _pass_on(self, orders: Orders) -> None:
        """What concerns the node as a whole is for others to do."""
        if orders.enrol:
            self._on_enrol()
        if orders.drain is not None:
            self._on_drain(orders.drain)
        if orders.undrain:
            self._on_undrain()

    def _on_lost(self, need: Need, detail: str) -> None:
        self._follow(self._core.unfetched(need, detail))

    async def _hand_back(self, handed_back: tuple[str, ...]) -> None:
        line = encode(Goodbye(node=self._node, handed_back=handed_back, leaving=False))
        body = self._identity.seal(GOODBYE, [line])
        try:
            await self._bus.publish(self._bus.subjects.telemetry(self._node), body)
        except BusError as error:
            # The next telemetry does not list them, so they are not lost.
            _log.warning("could not hand back", attempts=len(handed_back), reason=str(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Outcomes

    def _on_outcome(self, attempt: Attempt, outcome: Outcome) -> None:
        """The pool calls this, once for each job that is not cancelled."""
        self._outcomes.append((attempt, outcome))
        if len(self._outcomes) == 1:
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        outcomes, self._outcomes = self._outcomes, []
        if self._fault.kind == "slow":
            self._held_back += len(outcomes)
            asyncio.get_running_loop().call_later(self._fault.amount / 1000, self._settle_late, outcomes)
        else:
            self._take_in(outcomes)

    def _settle_late(self, outcomes: list[tuple[Attempt, Outcome]]) -> None:
        self._held_back -= len(outcomes)
        self._take_in(outcomes)

    def _take_in(self, outcomes: list[tuple[Attempt, Outcome]]) -> None:
        if not self._closed:
            self._follow(self._core.ended(outcomes, time.monotonic()))

    def _claim(self, answers: Sequence[tuple[Attempt, Outcome]]) -> None:
        meter = self._meter
        meter.update(time.monotonic())
        attempts: list[Attempt] = []
        lines: list[bytes] = []
        for attempt, true_outcome in answers:
            outcome = self._distort(true_outcome) if self._fault else true_outcome
            self.figures.answered(outcome)
            result = claim(self._node, attempt, outcome, meter.charge(outcome.cpu_ms), meter.method)
            if STEPS.on:
                tell_ran(attempt, result)
            if result.output is None:
                self._held_back += 1
                self._spawn(self._store_and_publish(attempt, outcome, result))
            else:
                attempts.append(attempt)
                lines.append(encode(result))
        if lines:
            self._publish(attempts, lines)

    def _distort(self, outcome: Outcome) -> Outcome:
        self._claimed += 1
        if self._fault.kind == "crash" and self._claimed >= self._fault.amount:
            crash()
        return lied(outcome) if self._fault.kind == "lie" else outcome

    async def _store_and_publish(self, attempt: Attempt, outcome: Outcome, result: Result) -> None:
        """A large output is a blob before anybody is told its digest; where there is no room for it, it waits, and no more work is taken."""
        try:
            while True:
                try:
                    await self._blobs.put(outcome.output)
                    break
                except LogFull as error:
                    if attempt.key not in self._no_room:
                        _log.error("an output has no room; it waits", **_named(attempt), reason=str(error))
                    self._no_room[attempt.key] = str(error)
                    self._tell_trouble()
                except BusUnavailable as error:
                    _log.debug("storing an output again", **_named(attempt), reason=str(error))
                await asyncio.sleep(UPLOAD_RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311 -- jitter
            self._no_room.pop(attempt.key, None)
            self._publish([attempt], [encode(result)])
        finally:
            self._held_back -= 1
            self._changed.set()

    # Claims on their way

    def _publish(self, attempts: Sequence[Attempt], lines: Sequence[bytes]) -> None:
        places = self._outbox.add(lines)
        append = self.writer.append
        for attempt, line, place in zip(attempts, lines, places, strict=True):
            append(line, Token(attempt.key, place, attempt.path))
        self._tell_trouble()

    def _on_durable(self, sequence: int, tokens: list[Token]) -> None:
        if self.writer.is_idle:
            # Not before: with room for a few claims only, work that is taken now would be handed back in a moment, and cost an attempt each time.
            self._refusal = ""
        self._core.settled([token.key for token in tokens])
        self._outbox.release([token.place for token in tokens])
        self._tell_trouble()
        if STEPS.on:
            for token in tokens:
                tell_claimed(token.key, token.path, sequence)

    def _on_refused(self, error: BusError, tokens: list[Token]) -> bool:
        if str(error) != self._refusal:
            _log.error("results are refused; they wait", claims=len(tokens), reason=str(error))
        self._refusal = str(error)
        self._tell_trouble()
        return True

    def heal(self) -> None:
        """Try again what was in trouble; called with every heartbeat."""
        self._outbox.heal()
        self._tell_trouble()

    def _tell_trouble(self) -> None:
        self._core.breakers.trouble(
            self._outbox.trouble or self._refusal or next(iter(self._no_room.values()), "")
        )


def _named(attempt: Attempt) -> dict[str, str | int]:
    """What a line in the log says of whose attempt it is about."""
    return {"task": attempt.task, "path": attempt.path or BARE, "attempt": attempt.number}


def _read(body: bytes) -> list[Instruction]:
    try:
        return _INSTRUCTION.decode_lines(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # One instruction that carries a spec which its client wrote over several lines.
        return [decode(body, _INSTRUCTION)]
    except Malformed:
        pass
    instructions: list[Instruction] = []
    bad: list[Malformed] = []
    try:
        for line in split_lines(body):
            try:
                instructions.append(decode(line, _INSTRUCTION))
            except Malformed as error:
                bad.append(error)
    except Malformed as error:
        bad.append(error)
    # Once a message: whoever may write to this subject must not fill the disk with what is said about it.
    _log.warning("not an instruction", lines=len(bad), reason=str(bad[0]) if bad else "")
    return instructions
