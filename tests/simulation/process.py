"""A simulated process: it takes steps when the world says so, and may be killed, paused or cut off between any two of them.

Guarantees that nothing reaches a process that is dead, paused or cut off, and that nothing of a killed one's memory is used again:
every event is bound to a life. What a process keeps over its death, its subclass says by not resetting it in `boot`.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from bus.reader import Entry
    from tests.simulation.server import Log
    from tests.simulation.world import Timer, World

__all__ = ["Asker", "Killed", "Process", "Reader"]

_AT_ONCE = 4


class Killed(Exception):
    """The process dies here, in the middle of what it does."""


class Asker(NamedTuple):
    """Who waits for an answer, in which of its lives, and what it does with it."""

    process: "Process"
    life: int
    then: Callable[..., None]

    def hear(self, said: Any) -> None:
        """The answer is on its way."""
        self.process.reach(self.life, self.then, said)


class Process:
    """One process on one connection. `fuse` counts the outward steps that it may still take before it is killed."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self._at = world.at
        self.name = name
        self.rng = random.Random(world.scenario.seed << 32 | crc32(name.encode()))  # noqa: S311 -- a simulation
        self.alive = False
        self.life = 0
        self.fuse: int | None = None
        self.down_ms = 0.0
        self.readers: list[Reader] = []
        self._held: list[tuple[Callable[..., Any], tuple[Any, ...]]] | None = None
        self.skew_ms = 0
        self._connection = 0
        self._cut = ""
        self._unsent: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._last_sent = 0.0
        self._last_heard = 0.0

    # What a subclass does

    def boot(self) -> None:
        """Begin from what is durable."""

    def reconnected(self) -> None:
        """The connection is back; answers that were under way are lost."""

    kind = ""
    """What it is, for the counts."""

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads."""
        return False

    @property
    def is_stale(self) -> bool:
        """Whether it believes that it leads, while another holds the lease."""
        return False

    # Time and messages

    def after(self, ms: float, call: Callable[..., Any], *arguments: Any) -> "Timer":
        """Do this later, in this life; what is returned is for `World.call_off`."""
        return self._at(self.world.now + ms, self._take, (self.life, call, arguments))

    def send(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Let this happen at the server; messages of one connection arrive in order. A step at which the process may die."""
        if self.fuse is not None:
            self.burn()
        if self._cut and self._cut != "deaf":
            if self._cut == "hold":
                self._unsent.append((call, arguments))
            return
        self._transmit(call, arguments)

    def _transmit(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        arrives = self.world.now + self.delay()
        self._last_sent = max(self._last_sent, arrives)
        self._at(self._last_sent, self._carry, (self._connection, call, arguments))

    def _carry(self, connection: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if connection == self._connection:
            call(*arguments)
        else:
            self.world.met("lost with the server")

    def reach(self, life: int, call: Callable[..., Any], *arguments: Any, delay: float | None = None) -> None:
        """Let this happen at the process, once it travelled there from the server."""
        if delay is None:
            delay = self.delay()
        self._at(self.world.now + delay, self._arrive, (life, call, arguments))

    def overtake(self, arrives: float) -> None:
        """Note when a message arrives, and whether one that was sent before it comes later."""
        if arrives < self._last_heard:
            self.world.met("message overtaken")
        self._last_heard = max(self._last_heard, arrives)

    def asker(self, then: Callable[..., None]) -> Asker:
        """Whoever waits here and now; an answer to an earlier life is lost."""
        return Asker(self, self.life, then)

    def delay(self) -> float:
        """How long a message travels: mostly a little, now and then much longer."""
        world, pick = self.world, self.rng.random()
        ms = world.network.delay_ms * (0.3 + pick)
        if pick > 0.98 and world.faulty:
            world.met("message late")
            return ms * 20
        return ms

    def burn(self) -> None:
        """One outward step: where the fuse ends, the process is killed before it."""
        if self.fuse is not None:
            if self.fuse <= 0:
                self.world.met(f"crash of a {self.kind}")
                if self.leads:
                    self.world.met("crash of a leader")
                raise Killed
            self.fuse -= 1

    def _arrive(self, life: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if self._cut and self._cut != "mute":
            return
        # As `_take`, which half of all events would call from here.
        if life != self.life or not self.alive:
            return
        if self._held is not None:
            self._held.append((call, arguments))
            return
        try:
            call(*arguments)
        except Killed:
            self.kill(self.down_ms)

    def _take(self, life: int, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if life != self.life or not self.alive:
            return
        if self._held is not None:
            self._held.append((call, arguments))
            return
        try:
            call(*arguments)
        except Killed:
            self.kill(self.down_ms)

    def is_connected(self, life: int) -> bool:
        """Whether the server has a connection of that life; a paused process has one."""
        return self.alive and self.life == life and not self._cut

    # What happens to it

    def start(self) -> None:
        """Run, if it does not."""
        if self.alive:
            return
        self.alive = True
        self.life += 1
        self.world.say(self.name, "starts")
        try:
            self.boot()
        except Killed:
            self.kill(self.down_ms)

    def kill(self, down_ms: float, how: str = "is killed") -> None:
        """Lose everything but what is durable; start again after a while."""
        if not self.alive:
            return
        self.world.say(self.name, how)
        self.alive = False
        self.life += 1
        self.fuse = None
        self._held = None
        self._unsent.clear()
        for reader in self.readers:
            reader.stop()
        self.readers.clear()
        self.world.at(self.world.now + down_ms, self.start, ())

    def pause(self) -> None:
        """Stop in the middle of everything, as a process does whose machine swaps or sleeps."""
        if self.alive and self._held is None:
            self.world.say(self.name, "is paused")
            self.world.met("pause of a leader" if self.leads else "pause")
            self._held = []

    def resume(self) -> None:
        """Go on, with all that came meanwhile at once, timers and messages in any order."""
        held, self._held = self._held, None
        if held:
            self.world.say(self.name, "wakes")
            if self.is_stale:
                self.world.met("a leader wakes when another has the lease")
            for call, arguments in held:
                self.after(self.rng.random(), call, *arguments)

    def cut(self, kind: str) -> None:
        """Cut off: what it sends is lost (`lose`) or kept until the connection is back (`hold`); or one way: `deaf`, `mute`."""
        if not self._cut:
            self.world.say(self.name, f"is cut off ({kind})")
            self._cut = kind

    def lose_connection(self) -> None:
        """Cut off by a server that is gone, with everything that was under way to it."""
        self._connection += 1
        self.cut("lose")

    def jump(self, ms: float) -> None:
        """Its clock is set wrong, or right again."""
        self.skew_ms += int(ms)

    def join(self) -> None:
        """The connection is back."""
        if not self._cut:
            return
        self._cut = ""
        unsent, self._unsent = self._unsent, []
        self.world.say(self.name, f"is connected again, {len(unsent)} messages late")
        for call, arguments in unsent:
            self._transmit(call, arguments)
        if self.alive:
            for reader in self.readers:
                reader.attach()
            self._take(self.life, self.reconnected, ())


class Reader:
    """A follower of a log, like `bus.reader.LogReader`: every entry once, in order, behind a position.

    `on_cut` is called where the log no longer holds what comes next.
    """

    def __init__(
        self,
        process: Process,
        log: "Log",
        deliver: Callable[["Entry"], None],
        on_cut: Callable[[], None] = lambda: None,
    ) -> None:
        self.position = 0
        self._on_cut = on_cut
        self._process = process
        self._log = log
        self._deliver = deliver
        self._due = False
        self._stopped = False
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def start(self) -> None:
        """Begin to read."""
        self._process.readers.append(self)
        self._log.followers.append(self)
        self.attach()

    def stop(self) -> None:
        """Read no more."""
        if not self._stopped:
            self._stopped = True
            if self in self._log.followers:
                self._log.followers.remove(self)

    def attach(self) -> None:
        """A new connection: what was under way is lost and asked for again."""
        self._due = False
        self.poke()

    def poke(self) -> None:
        """There may be something to read."""
        if (
            not self._due
            and not self._stopped
            and self.position + 1 < max(self._log.first, self._log.last + 1)
        ):
            self._due = True
            self._process.reach(self._process.life, self._pump)

    def reached(self, sequence: int, then: Callable[[], None]) -> None:
        """Call `then` once the entry of that sequence has been delivered."""
        if self.position >= sequence:
            then()
        else:
            self._waiting.append((sequence, then))

    def _pump(self) -> None:
        self._due = False
        if self.position + 1 < self._log.first and not self._stopped:
            self._process.world.met("a log was cut under its reader")
            self._on_cut()
            return
        for entry in self._log.after(self.position, _AT_ONCE):
            if self._stopped:
                return
            self.position = entry.sequence
            self._deliver(entry)
        waiting, self._waiting = self._waiting, []
        for sequence, then in waiting:
            self.reached(sequence, then)
        self.poke()
