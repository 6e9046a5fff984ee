"""What the coordinator knows of one task while it is open, kept small: a hundred thousand of them fit in memory.

Guarantees: tasks that need the same share one `Shape` (and one estimate of their duration), and a finished task shrinks to a
few packed bytes. Records only; who changes them is `ledger` (what the logs say) and `core` (what is decided).
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from bus.messages import Place, Quorum, TaskSpec, VerdictStatus, VerifyPolicy

__all__ = [
    "ANSWERED",
    "FINISHED_BYTES",
    "LOST",
    "NO_INPUT",
    "REPLACED",
    "RUNNING",
    "Estimate",
    "Finished",
    "Holder",
    "Shape",
    "Shapes",
    "Source",
    "Task",
    "pack_finished",
    "unpack_finished",
]

Source = tuple[int, int]
"""Where a submission stands in TASKS: (sequence, line), lines counted from 0."""

RUNNING, ANSWERED, LOST, REPLACED = range(4)
"""States of a holder: it owes a result, it has claimed one, it is given up, or given up and made good elsewhere."""

NO_INPUT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing: most tasks have no input, and share this string."""

_FINISHED = struct.Struct("<8sQQHBQ")
FINISHED_BYTES = _FINISHED.size
"""What is kept of a finished task, beside its name."""

_STATUSES: tuple[VerdictStatus, ...] = ("verified", "failed", "cancelled", "expired")
_SMOOTHING = 0.2
_MANY_ESTIMATES = 10_000
_MANY_SHAPES = 50_000
_ANYWHERE = Place()
_encode_place = msgspec.json.Encoder(order="deterministic").encode


class Estimate:
    """How long attempts of one module and entry take: an exponentially weighted mean, None until one was seen."""

    __slots__ = ("expected_ms",)

    def __init__(self) -> None:
        self.expected_ms: float | None = None

    def learn(self, wall_ms: float) -> None:
        """Count one observed duration."""
        known = self.expected_ms
        self.expected_ms = wall_ms if known is None else known + _SMOOTHING * (wall_ms - known)


class Shape:
    """All that tasks of one kind share: what they run, what they need and how they are verified."""

    __slots__ = ("entry", "estimate", "memory_mb", "module", "place", "replicas", "verify", "wall_ms")

    def __init__(self, spec: TaskSpec, estimate: Estimate) -> None:
        self.module = spec.work.module[7:]
        self.entry = spec.work.entry
        self.place = spec.place
        self.memory_mb = spec.limits.memory_mb
        self.wall_ms = spec.limits.wall_ms
        self.verify: VerifyPolicy = spec.verify
        self.replicas = spec.verify.of if isinstance(spec.verify, Quorum) else 1
        self.estimate = estimate


class Shapes:
    """The shapes in use, one object each; forgotten wholesale when clients vary them without end."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[object, ...], Shape] = {}
        self._estimates: dict[tuple[str, str], Estimate] = {}

    def of(self, spec: TaskSpec) -> Shape:
        """The shape of a task."""
        work, limits = spec.work, spec.limits
        place = b"" if spec.place == _ANYWHERE else _encode_place(spec.place)
        key = (work.module, work.entry, limits.memory_mb, limits.wall_ms, spec.verify, place)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MANY_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = Shape(spec, self._estimate(work.module, work.entry))
        return shape

    def learnt(self) -> list[tuple[str, str, float]]:
        """Module, entry and expected milliseconds of all that was seen."""
        return [
            (*of, each.expected_ms) for of, each in self._estimates.items() if each.expected_ms is not None
        ]

    def know(self, learnt: Iterable[tuple[str, str, float]]) -> None:
        """Undo `learnt`."""
        for module, entry, expected_ms in learnt:
            self._estimate(module, entry).expected_ms = expected_ms

    def _estimate(self, module: str, entry: str) -> Estimate:
        if len(self._estimates) >= _MANY_ESTIMATES:
            self._estimates.clear()
        return self._estimates.setdefault((module, entry), Estimate())


class Holder:
    """One node's part in one attempt. `key` is how telemetry names it: `<task>#<attempt>`."""

    __slots__ = (
        "attempt", "decision", "deliveries", "expected_ms", "key", "node", "renewed_ms", "row", "score", "sent_ms",
        "since_ms", "state", "task",
    )  # fmt: skip

    def __init__(
        self, task: "Task", attempt: int, node: str, row: int | None, *, now_ms: int, expected_ms: float
    ) -> None:
        self.task = task
        self.key = f"{task.name}#{attempt}"
        self.attempt = attempt
        self.node = node
        self.row = row
        self.decision = 0
        self.deliveries = 1
        self.state = RUNNING
        self.since_ms = self.sent_ms = self.renewed_ms = now_ms
        self.expected_ms = expected_ms
        self.score = 0.0

    def __repr__(self) -> str:
        """Who holds what, and whether it still owes a result."""
        return f"Holder({self.key} on {self.node}, {('running', 'answered', 'lost', 'replaced')[self.state]})"


class Submission(NamedTuple):
    """A well-formed TaskSpec line: its name, its place in TASKS, its bytes and what they say."""

    name: str
    source: Source
    at_ms: int
    raw: bytes
    digest: bytes
    spec: TaskSpec
    together: bool
    path: str = ""


class Task:
    """One open task. `raw` and `shape` are None while it is known from a decision only, not yet from TASKS."""

    __slots__ = (
        "admitted", "answered_need", "arrival_ms", "attempt", "cancelled", "claimed", "closing", "closing_durable",
        "deadline_ms", "digest", "excluded", "held", "holders", "input", "max_attempts", "name", "need",
        "need_after", "path", "price", "priority", "quiet_since_ms", "raw", "retry_at_ms", "reward", "rivals", "shape",
        "source", "spec", "ticket", "together",
    )  # fmt: skip

    def __init__(self, name: str, source: Source, at_ms: int) -> None:
        self.name = name
        self.source = source
        self.arrival_ms = at_ms
        self.raw: bytes | None = None
        self.spec: TaskSpec | None = None  # only until it is admitted
        self.shape: Shape | None = None
        self.digest = b""
        self.input = NO_INPUT
        self.priority = 0
        self.deadline_ms: int | None = None
        self.max_attempts = 0
        self.reward = self.price = 0
        self.held = 0  # what is set aside of its client's purse
        self.together = False
        self.path = ""
        self.admitted = False
        self.cancelled = 0  # the sequence in TASKS of the last cancel that concerns it
        self.closing = False
        self.closing_durable = False  # until then nobody may be told
        self.attempt = 0
        self.holders: list[Holder] = []
        self.excluded: frozenset[str] = frozenset()
        self.need = 0
        self.need_after = 0
        self.answered_need = 0
        self.ticket = 0
        self.retry_at_ms = 0
        self.quiet_since_ms = at_ms
        self.claimed = 0  # the sequence in RESULTS of its last claim
        self.rivals: list[Submission] | None = None

    def __repr__(self) -> str:
        """Name, progress and what it wants."""
        return f"Task({self.name}, attempt={self.attempt}, holders={self.holders}, wants={self.wanted()})"

    @property
    def settled(self) -> bool:
        """Whether this submission owns its name for good: it was admitted, assigned or abandoned."""
        return self.admitted or self.attempt > 0 or self.closing

    @property
    def needs_more(self) -> bool:
        """Whether an `inconclusive` of the verifier is not yet answered by an attempt."""
        return self.need > 0 and self.need_after >= self.answered_need

    def lost(self) -> list[Holder]:
        """The holders that are given up and not yet replaced."""
        return [holder for holder in self.holders if holder.state == LOST]

    def wanted(self) -> int:
        """How many nodes the next attempt is for; 0 when the task wants none now.

        What is lost is made good first: the verifier still counts on it when it says how many more it needs.
        """
        if self.closing or not self.admitted or self.shape is None:
            return 0
        if self.attempt == 0:
            return self.shape.replicas
        return len(self.lost()) or (self.need if self.needs_more else 0)

    def is_running(self) -> bool:
        """Whether some node still owes a result."""
        return any(holder.state == RUNNING for holder in self.holders)


class Finished(NamedTuple):
    """What remains of a finished task: its digest (eight bytes), and where and when its verdict was written."""

    digest: bytes
    verdict: int
    source: Source
    status: VerdictStatus
    at_ms: int


def pack_finished(finished: Finished) -> bytes:
    """A finished task in `FINISHED_BYTES`."""
    digest, verdict, source, status, at_ms = finished
    return _FINISHED.pack(digest[:8], verdict, *source, _STATUSES.index(status), at_ms)


def unpack_finished(packed: bytes) -> Finished:
    """Undo `pack_finished`."""
    digest, verdict, sequence, line, status, at_ms = _FINISHED.unpack(packed)
    return Finished(digest, verdict, (sequence, line), _STATUSES[status], at_ms)
