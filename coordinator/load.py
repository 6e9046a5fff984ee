"""When a cluster has enough: how much waits, how fast it goes, and whether new tasks are to be refused. Pure; the time is passed in.

Guarantees hysteresis: what was refused at a bound is accepted again only when a fifth of it is done, so that the gate moves rarely;
and that tasks which no node fits, which anybody may submit, count for memory but are no reason to expect a long wait.

A wait is `moving / rate`: the tasks that some node could take, over the verdicts a second of the last minute in which more than a few of
those waited. Only then is the rate what the cluster can do; with less to do it is what it was asked for, and a few long tasks would
shut the gate for many short ones. Where that was not for long, the wait is unknown, and only the bounds in tasks and bytes
hold. Left to others: shutting the gate (`gatekeeper`), telling people (`desk`).
"""

from collections import deque
from dataclasses import dataclass

from bus.gate import LogState
from bus.messages import RoomReply
from coordinator.settings import Settings

__all__ = ["Held", "Load"]

_OPENS_AT = 0.8
"""Of a bound: below, a shut gate opens again."""
_RATE_WINDOW_MS = 60_000
_MEASURED_MS = 10_000
"""Time with more than a few to do before a rate is believed: at first modules are fetched and compiled, and a wait told from that would be far too long."""
_FEW = 1000
"""So many tasks are always accepted, however long they take: to keep them costs nothing."""
_NEARLY = 0.97
"""Of TASKS' own limit, which JetStream keeps without us: told, so that people know what to do."""
_RETRY_LEAST_S = 1.0
_RETRY_MOST_S = 60.0
_RETRY_UNKNOWN_S = 2.0
"""Bounds of the advice: who is told to wait for long asks again within a minute, as the rate may have changed."""
_NEWEST = 0.02
"""Weight of the newest message in the means of lines and bytes per message."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the coordinator holds: open tasks, their bytes, and how many of them no node fits."""

    tasks: int
    bytes: int
    hopeless: int = 0


class Load:
    """What waits, and whether it is enough. `full` is empty, or says why no more is taken."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.full = ""
        self.is_over = False
        """Whether the gate is to be shut; a log at its own limit refuses by itself."""
        self.backlog = 0
        """Tasks without a verdict; those that are not read yet are estimated."""
        self.wait_s: float | None = None
        self.retry_after_s = 0.0
        self._load = 0.0
        self._lines = 1.0
        self._bytes = 1000.0
        self._ended = 0
        self._done = 0
        self._busy_ms = 0
        self._was_busy = False
        self._looked_ms: int | None = None
        self._samples: deque[tuple[int, int]] = deque()

    def __repr__(self) -> str:
        """How much waits, and for how long."""
        wait = "unknown" if self.wait_s is None else f"{self.wait_s:.0f} s"
        return f"Load(backlog={self.backlog}, wait={wait}{', ' + self.full if self.full else ''})"

    def read(self, lines: int, size: int) -> None:
        """A message of TASKS with so many lines and bytes was read."""
        self._lines += _NEWEST * (lines - self._lines)
        self._bytes += _NEWEST * (size - self._bytes)

    def ended(self, tasks: int) -> None:
        """So many open tasks got their verdicts."""
        self._ended += tasks

    def look(self, now_ms: int, log: LogState, read_to: int, held: Held) -> None:
        """Take stock; TASKS is read as far as `read_to`."""
        unread = max(0, min(log.last - read_to, log.messages))
        self.backlog = held.tasks + round(unread * self._lines)
        moving = self.backlog - min(held.hopeless, held.tasks)
        rate = self._rate(now_ms, busy=moving > _FEW)
        self.wait_s = 0.0 if not moving else moving / rate if rate else None
        self._judge(held.bytes + unread * self._bytes, moving, log)
        self.retry_after_s = self._retry_s(rate) if self.full else 0.0

    def reply(self) -> RoomReply:
        """The answer to whoever asks for room."""
        return RoomReply(
            backlog=self.backlog,
            wait_ms=None if self.wait_s is None else round(self.wait_s * 1000),
            full=self.full,
            retry_after_ms=round(self.retry_after_s * 1000),
        )

    def _judge(self, size: float, moving: int, log: LogState) -> None:
        most = self._settings
        bounds = [
            (
                self.backlog / most.full_tasks,
                f"{self.backlog:,} tasks wait, {most.full_tasks:,} are the most",
            ),
            (
                size / most.full_bytes,
                f"{size / 1e6:,.0f} MB of tasks wait, {most.full_bytes / 1e6:,.0f} MB are the most",
            ),
        ]
        if self.wait_s is not None and moving > _FEW:
            told = (
                f"{moving:,} tasks wait, {self.wait_s:,.0f} s of work; {most.full_wait_s:,.0f} s are the most"
            )
            bounds.append((self.wait_s / most.full_wait_s, told))
        load, told = max(bounds)
        self._load = load
        self.is_over = load >= (_OPENS_AT if self.is_over else 1.0)
        if self.is_over:
            self.full = told
        elif log.max_bytes and log.bytes > _NEARLY * log.max_bytes:
            self.full = (
                f"log tasks holds {log.bytes:,} of {log.max_bytes:,} bytes: raise its max_bytes, or trim it"
            )
        else:
            self.full = ""

    def _retry_s(self, rate: float | None) -> float:
        """The time until the gate opens, as far as it can be told."""
        if not self.is_over or not rate:
            return _RETRY_UNKNOWN_S
        to_do = self.backlog * max(0.0, 1 - _OPENS_AT / self._load)
        return min(_RETRY_MOST_S, max(_RETRY_LEAST_S, to_do / rate))

    def _rate(self, now_ms: int, *, busy: bool) -> float | None:
        """Verdicts a second over the last minute in which there was more than a few to do."""
        passed_ms = 0 if self._looked_ms is None else max(0, now_ms - self._looked_ms)
        self._looked_ms = now_ms
        ended, self._ended = self._ended, 0
        if busy and self._was_busy:  # at both ends of the time that has passed
            self._busy_ms += passed_ms
            self._done += ended
        self._was_busy = busy
        if not self._samples or self._samples[-1][0] < self._busy_ms:
            self._samples.append((self._busy_ms, self._done))
        while len(self._samples) > 2 and self._samples[1][0] < self._busy_ms - _RATE_WINDOW_MS:  # noqa: PLR2004 -- a first and a last
            self._samples.popleft()
        busy_ms, done = self._samples[0]
        span_ms = self._busy_ms - busy_ms
        measured = span_ms >= _MEASURED_MS and self._done > done
        return (self._done - done) * 1000 / span_ms if measured else None
