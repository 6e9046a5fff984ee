"""Which job goes to which slot, and what becomes of jobs when a slot is lost: pure decisions, no I/O, no clock.

Guarantees: every ticket that is added leaves exactly once, by `finish`, `drop` or as the one blamed in `lose`; jobs
are given out in the order they came (those taken back go first); a slot is given more than one job only if all of
them are known to be short, so that nothing waits behind a long one; a lost slot costs the job it was running; a
job is blamed without having run only after `LOSSES_MAX` slots were lost under it.
"""

from collections import deque
from collections.abc import Callable

from msgspec import Raw

from sandbox.job import Job, Outcome

AHEAD_MS = 4.0
"""Work of known short jobs that may lie at a slot beyond the one it runs: some times the pool's reaction time."""
AHEAD_JOBS = 128
LEARN = 0.2
LOSSES_MAX = 5
"""Slots that may be lost with a job waiting at them before it is blamed, too: no job may end slots for ever unseen."""
KINDS_KEPT = 4_096
"""Pairs of module and entry whose time is remembered."""


class Ticket:
    """One job on its way through the pool; an opaque handle to whoever submitted it."""

    __slots__ = (
        "done",
        "expected_ms",
        "job",
        "losses",
        "number",
        "pid",
        "raw",
        "retried",
        "slot",
        "unwanted",
    )

    def __init__(self, number: int, job: Job, raw: Raw, done: Callable[[Outcome], None]) -> None:
        self.number = number
        self.job = job
        self.raw = raw
        self.losses = 0
        self.done = done
        self.slot: int | None = None
        self.pid = 0  # of the slot that answered, or ended under it
        self.expected_ms = 0.0
        self.retried = False
        self.unwanted = False

    def __repr__(self) -> str:
        where = "waiting" if self.slot is None else f"at slot {self.slot}"
        return f"<Ticket {self.number} {where}>"


class Dispatcher:
    """The pool's bookkeeping."""

    def __init__(self, slots: int) -> None:
        self.waiting: deque[Ticket] = deque()
        self.at: list[dict[int, Ticket]] = [{} for _ in range(slots)]
        self.ready: list[bool] = [False] * slots
        self._load_ms = [0.0] * slots
        self._expected: dict[tuple[str, str], float] = {}

    def __repr__(self) -> str:
        at = ", ".join(str(len(each)) if up else "down" for each, up in zip(self.at, self.ready, strict=True))
        return f"<Dispatcher {len(self.waiting)} waiting, at slots: {at}>"

    def add(self, ticket: Ticket) -> None:
        """A job is ready to be given out."""
        self.waiting.append(ticket)

    def assign(self) -> dict[int, list[Ticket]]:
        """Give out what can be given out now: slot → jobs, in order."""
        given: dict[int, list[Ticket]] = {}
        while self.waiting:
            slot = self._freest()
            if slot is None:
                break
            ticket = self.waiting[0]
            expected = self._expected.get((ticket.job.module, ticket.job.entry))
            held = self.at[slot]
            if held and (
                expected is None or self._load_ms[slot] + expected > AHEAD_MS or len(held) >= AHEAD_JOBS
            ):
                break
            self.waiting.popleft()
            ticket.slot = slot
            # A job of unknown length fills its slot: nothing may be queued behind it.
            ticket.expected_ms = AHEAD_MS if expected is None else expected
            held[ticket.number] = ticket
            self._load_ms[slot] += ticket.expected_ms
            given.setdefault(slot, []).append(ticket)
        return given

    def _freest(self) -> int | None:
        slots = [slot for slot, up in enumerate(self.ready) if up]
        return min(slots, key=self._load_of) if slots else None

    def _load_of(self, slot: int) -> tuple[bool, float]:
        return bool(self.at[slot]), self._load_ms[slot]

    def _take(self, slot: int, number: int) -> Ticket | None:
        ticket = self.at[slot].pop(number, None)
        if ticket is not None:
            self._load_ms[slot] = self._load_ms[slot] - ticket.expected_ms if self.at[slot] else 0.0
            ticket.slot = None
        return ticket

    def finish(self, slot: int, number: int, outcome: Outcome) -> Ticket | None:
        """A slot answered; None if that job is not (or no longer) its own."""
        ticket = self._take(slot, number)
        if ticket is not None:
            key = (ticket.job.module, ticket.job.entry)
            before = self._expected.pop(key, outcome.wall_ms)
            self._expected[key] = before + LEARN * (outcome.wall_ms - before)
            if len(self._expected) > KINDS_KEPT:
                del self._expected[next(iter(self._expected))]
        return ticket

    def take_back(self, slot: int, numbers: list[int]) -> list[Ticket]:
        """A slot gave jobs back unbegun: they wait again, before all others. Returns those nobody wants."""
        tickets = [t for t in (self._take(slot, number) for number in numbers) if t is not None]
        self.waiting.extendleft(t for t in reversed(tickets) if not t.unwanted)
        return [t for t in tickets if t.unwanted]

    def lose(self, slot: int, running: int) -> tuple[list[Ticket], list[Ticket]]:
        """A slot died while running job `running` (0: none).

        Returns:
            The tickets to blame (the one that ran, and any that was at too many lost slots already), and those
            nobody wants any more; all others wait again.
        """
        self.ready[slot] = False
        blamed = [t for t in (self._take(slot, running),) if t is not None]
        for ticket in list(self.at[slot].values()):
            ticket.losses += 1
            if ticket.losses > LOSSES_MAX:
                self._take(slot, ticket.number)
                blamed.append(ticket)
        return blamed, self.take_back(slot, list(self.at[slot]))

    def drop(self, ticket: Ticket) -> bool:
        """Take a job out of the queue; False if it is at a slot or already gone."""
        try:
            self.waiting.remove(ticket)
        except ValueError:
            return False
        return True
