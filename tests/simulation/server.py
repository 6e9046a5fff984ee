"""The simulated NATS server: logs with fences and a dedupe window, leases, core subjects that lose messages, request-reply.

Mirrors what the real one promises and no more: a stored message stays, with its sequence; an expected sequence is
checked; a message id is stored once within the window; everything else may be lost, come late, twice, or in another order.
The methods are called at the moment a message arrives at the server.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from bus.lease import LEASE_TTL_S
from bus.reader import Entry
from folds.runs import Run

if TYPE_CHECKING:
    from tests.simulation.process import Asker, Process, Reader
    from tests.simulation.world import Timer, World

__all__ = ["FULL", "LEASE_MS", "WRONG_ID", "WRONG_SEQUENCE", "Kept", "Log", "Server"]

FULL = "full"
WRONG_SEQUENCE = "wrong last sequence"
WRONG_ID = "wrong last message id"
_DEDUPE_MS = 120_000
LEASE_MS = LEASE_TTL_S * 1000
_LOST_AS = {"telemetry": "heartbeat", "assign": "assignment"}

type Answer = Callable[..., None]


class Log:
    """One stream, holding the sequences from `first` to `last`. `ids` are the sequence and time of each message id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ids: dict[str, tuple[int, float]] = {}
        self.last_id = ""
        self.followers: list[Reader] = []
        self.full = False
        self.first = 1
        self._entries: list[Entry] = []
        self._headers: list[dict[str, str]] = []

    @property
    def last(self) -> int:
        """The sequence of the newest entry; 0 if there never was one."""
        return len(self._entries)

    def at(self, sequence: int) -> Entry:
        """The entry of a sequence that the log holds."""
        assert self.first <= sequence <= self.last, f"{self.name} does not hold {sequence}"
        return self._entries[sequence - 1]

    def headers_at(self, sequence: int) -> dict[str, str]:
        """The headers that the entry came with."""
        assert self.first <= sequence <= self.last, f"{self.name} does not hold {sequence}"
        return self._headers[sequence - 1]

    def after(self, position: int, most: int) -> list[Entry]:
        """At most so many of the entries that follow a position."""
        return self._entries[position : position + most]

    def holds(self, sequence: int) -> bool:
        """Whether the entry of that sequence is there."""
        return self.first <= sequence <= self.last

    def trim(self, first: int) -> None:
        """Cut what stands before `first`: nobody gets it any more."""
        self.first = max(self.first, min(first, self.last + 1))

    def append(self, entry: Entry, headers: dict[str, str]) -> None:
        """Keep an entry, the next one."""
        self._entries.append(entry)
        self._headers.append(headers)


class Kept(NamedTuple):
    """A checkpoint: its number, the positions it covers, and what it holds; `damaged` is noticed by who loads it."""

    number: int
    positions: dict[str, int]
    packed: bytes
    runs: tuple[Run, ...]
    damaged: bool = False


class Server:
    """All that processes share."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.logs = {name: Log(name) for name in ("tasks", "assignments", "results", "verdicts")}
        self.order: list[str] = []
        """The log of each message that was stored, one after the other: clocks jump, this does not."""
        self._leases: dict[str, tuple[Asker, int, float]] = {}
        self._revision = 0
        self.skew_ms = 0
        self._ends: dict[str, Timer] = {}
        self._waiting: dict[str, list[Asker]] = {}
        self.checkpoints: dict[str, list[Kept]] = {"coordinator": [], "verifier": []}
        self._saved = 0
        self._subscribers: dict[str, list[Asker]] = {}
        self._desks: dict[str, list[Asker]] = {}

    # Logs

    def store(self, log: Log, subject: str, body: bytes, headers: dict[str, str]) -> int | str:
        """Store a message; its sequence, or why not. The headers and their order are JetStream's."""
        now = self._world.now
        known = log.ids.get(headers["Nats-Msg-Id"])
        if known is not None and now - known[1] < _DEDUPE_MS:
            self._world.met("known message id")
            return known[0]
        if log.full:
            self._world.met(f"refused: {log.name} is full")
            return FULL
        if int(headers.get("Nats-Expected-Last-Sequence", log.last)) != log.last:
            self._world.met(f"refused by sequence: {log.name}")
            return WRONG_SEQUENCE
        behind = headers.get("Nats-Expected-Last-Msg-Id")
        if behind is not None and behind != log.last_id:
            self._world.met("refused by message id")
            return WRONG_ID
        entry = Entry(log.last + 1, self._world.wall_ms() + self.skew_ms, subject, body)
        log.append(entry, headers)
        self.order.append(log.name)
        log.last_id = headers["Nats-Msg-Id"]
        log.ids[log.last_id] = (entry.sequence, now)
        self._world.stored(log, entry, headers.get("Avcp-Writer", ""))
        for reader in list(log.followers):
            reader.poke()
        return entry.sequence

    def publish(self, asker: "Asker", log: Log, subject: str, body: bytes, headers: dict[str, str]) -> None:
        """Store, and send the acknowledgement or refusal back; it may be lost."""
        answer = self.store(log, subject, body, headers)
        if self._world.chance(self._world.network.lost_answers):
            self._world.say("server", f"the answer to {asker.process.name} is lost: {answer}")
            self._world.met("acknowledgement lost")
            return
        asker.hear(answer)

    def ask(self, asker: "Asker", question: Callable[[], Any]) -> None:
        """A question to the server itself (where a log ends, what it holds at a sequence); its answer may be lost."""
        answer = question()
        if not self._world.chance(self._world.network.lost_answers):
            asker.hear(answer)

    # Checkpoints

    def load(self, fold: str) -> tuple[Kept | None, Kept | None]:
        """The newest checkpoint of a fold, and the newest that is fit for use."""
        kept = self.checkpoints[fold]
        sound = [each for each in kept if not each.damaged]
        if kept and kept[-1].damaged:
            self._world.met("a damaged checkpoint is passed over")
        return (kept[-1] if kept else None), (sound[-1] if sound else None)

    def save(self, fold: str, behind: int, kept: Kept) -> int:
        """Keep a checkpoint directly behind the one of that number, and of the others the newest; its number, 0 where it is refused."""
        found = self.checkpoints[fold]
        if behind != (found[-1].number if found else 0):
            self._world.met("a stale checkpoint is refused")
            return 0
        self._saved += 1
        self.checkpoints[fold] = [*found[-1:], kept._replace(number=self._saved)]
        self._world.met(f"checkpoint of the {fold}")
        return self._saved

    def damage(self, fold: str) -> None:
        """The newest checkpoint of a fold is no good any more; not both, for that is the end of what was cut."""
        kept = self.checkpoints[fold]
        if len(kept) > 1 and not kept[0].damaged:
            self.checkpoints[fold] = [kept[0], kept[1]._replace(damaged=True)]

    def trim(self, log: str, first: int) -> None:
        """Cut a log."""
        if first > self.logs[log].first:
            self._world.met(f"cut: {log}")
        self.logs[log].trim(first)

    # Leases

    def take_lease(self, role: str, holder: "Asker") -> int:
        """The revision of the lease that is now `holder`'s; 0 if another's has not run out, and that one is connected."""
        held = self._leases.get(role)
        if held is not None and held[2] > self._world.now and held[0].process.is_connected(held[0].life):
            return 0
        return self._lease(role, holder)

    def renew_lease(self, role: str, holder: "Asker", revision: int) -> int:
        """The next revision; 0 if the lease was given to somebody else, or forgotten."""
        held = self._leases.get(role)
        if held is None or held[1] != revision or held[2] <= self._world.now:
            return 0
        return self._lease(role, holder)

    def release_lease(self, role: str, revision: int) -> None:
        """Give a lease up, if it is still held."""
        held = self._leases.get(role)
        if held is not None and held[1] == revision:
            self.forget_lease(role)

    def await_lease(self, role: str, asker: "Asker") -> None:
        """Say it once when a lease may be had that another holds."""
        self._waiting.setdefault(role, []).append(asker)

    def holds_lease(self, role: str, holder: str) -> bool:
        """Whether nobody else holds it."""
        held = self._leases.get(role)
        return held is None or held[0] == holder or held[2] <= self._world.now

    def forget_lease(self, role: str) -> None:
        """Give a lease up behind its holder's back."""
        self._leases.pop(role, None)
        self._world.call_off(self._ends.pop(role, None))
        for asker in self._waiting.pop(role, ()):
            asker.hear(None)

    def _lease(self, role: str, holder: "Asker") -> int:
        self._revision += 1
        end = self._world.now + LEASE_MS
        self._leases[role] = (holder, self._revision, end)
        if role not in self._ends:
            self._ends[role] = self._world.at(end, self._run_out, (role,))
        return self._revision

    def _run_out(self, role: str) -> None:
        end = self._leases[role][2]
        if end <= self._world.now:
            self.forget_lease(role)
        else:
            self._ends[role] = self._world.at(end, self._run_out, (role,))

    # Core subjects

    def subscribe(self, subject: str, process: "Process", then: Answer) -> None:
        """Hear `subject` for this life."""
        self._subscribers.setdefault(subject, []).append(process.asker(then))

    def unsubscribe(self, subject: str, then: Answer) -> None:
        """Hear it no more."""
        heard = self._subscribers.get(subject, [])
        self._subscribers[subject] = [each for each in heard if each.then != then]

    def broadcast(self, heard_as: str, subject: str, body: bytes) -> None:
        """Send a core message to whoever subscribed `heard_as`: dropped, late, twice, out of order."""
        world = self._world
        for process, life, then in self._subscribers.get(heard_as, ()):
            if life != process.life:
                continue
            if world.chance(world.network.drop):
                world.say("server", f"a message on {subject} to {process.name} is lost")
                world.met(f"{_LOST_AS.get(heard_as.partition('.')[0], 'notice')} lost")
                continue
            delay = process.delay()
            process.overtake(world.now + delay)
            process.reach(life, then, subject, body, delay=delay)
            if world.chance(world.network.duplicate):
                world.met("message doubled")
                process.reach(life, then, subject, body, delay=process.delay() * 40)

    # Request-reply

    def open_desk(self, service: str, process: "Process", then: Answer) -> None:
        """Answer requests to `service`."""
        self._desks.setdefault(service, []).append(process.asker(then))

    def close_desk(self, service: str, then: Answer) -> None:
        """Answer no more."""
        self._desks[service] = [each for each in self._desks.get(service, ()) if each.then != then]

    def request(self, service: str, endpoint: str, body: Any, asker: "Asker") -> None:
        """Give a request to one of those who answer; without any, say so (None)."""
        world = self._world
        desks = [each for each in self._desks.get(service, ()) if each.life == each.process.life]
        if not desks:
            asker.hear(None)
        elif world.chance(world.network.drop):
            world.met("question lost")
        else:
            process, desk_life, answer = desks[int(world.rng.random() * len(desks))]

            def reply(said: Any) -> None:
                process.send(self._reply, asker, said)

            process.reach(desk_life, answer, endpoint, body, reply)

    def _reply(self, asker: "Asker", said: Any) -> None:
        if self._world.chance(self._world.network.drop):
            self._world.met("reply lost")
        else:
            asker.hear(said)

    def restarted(self) -> None:
        """The server was away: leases were in its memory, all else on its disk but the id of a log's last message."""
        for role in list(self._leases):
            self.forget_lease(role)
        for log in self.logs.values():
            log.last_id = ""
