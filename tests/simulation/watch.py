"""What must hold of every history: of the logs, of what nodes and clients are told, and of what clients hand out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ambient.outstanding import Entry as Expected
from ambient.outstanding import Sink
from bus.messages import Assign, CancelAttempt, Refused, Verdict, VerdictLine
from bus.wire import decode, decoder
from coordinator.tasks import Submission
from tests.simulation.logwatch import LogWatch
from tests.simulation.promises import Violation, hold, members

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Violation", "Watch"]

_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)


class Watch(LogWatch):
    """All promises. `open_entries` are what clients wait for."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self.open_entries: dict[Expected, None] = {}
        self._handed_out: set[Expected] = set()
        self._asked_by: dict[str, str] = {}
        self._given: set[tuple[str, int, str]] = set()

    # Messages

    def told(self, by: str, subject: str, body: bytes) -> None:
        """A service tells a node or client something: it is durable by now."""
        kind = subject.split(".")[2]
        for line in members(body):
            if kind == "assign":
                self._told_assign(by, subject.rpartition(".")[2], line)
            elif kind == "done":
                verdict = _LINE.decode(line)
                assert isinstance(verdict, Verdict)
                known = self.tasks.get(verdict.task)
                durable = known is not None and known.verdict == verdict
                hold(durable, "durable before told", f"{by} tells of {verdict.task}")
            elif kind == "rejected":
                refused = decode(line, decoder(Refused))
                hold(refused.source in self.refused, "durable before told", f"{by} refuses {refused}")

    def _told_assign(self, by: str, node: str, line: bytes) -> None:
        if b'"kind":"assign"' in line:
            told = decode(line, decoder(Assign))
            given = self.task(told.task).assigned.get(told.attempt)
            durable = given is not None and given[0] == told.decision and node in given[1].nodes
            if (told.task, told.attempt, node) in self._given:
                self._world.met("assignment told again")
            self._given.add((told.task, told.attempt, node))
            hold(durable, "durable before told", f"{by} gives {told.task}#{told.attempt} to {node}")
        elif b'"kind":"cancel"' in line:
            stopped = decode(line, decoder(CancelAttempt))
            durable = self.task(stopped.task).abandoned is not None
            self._world.met("attempt stopped")
            hold(durable, "durable before told", f"{by} stops {stopped.task}#{stopped.attempt} on {node}")

    def enrolled(self, node: str, key: str) -> None:
        """A node heard yes to its hello."""
        hold(self._owners.get(node) == key, "durable before told", f"{node} is not enrolled")

    # Clients

    def acknowledged(self, client: str, sequence: int) -> None:
        """A client heard that its message is stored."""
        log = self._world.server.logs["tasks"]
        there = sequence < log.first or (
            sequence <= log.last and log.at(sequence).subject.endswith(f".{client}")
        )
        hold(there, "what is acknowledged is stored", f"{client}: {sequence}")

    def expected(self, entry: Expected, process: str) -> None:
        """A client waits for this entry."""
        self.open_entries[entry] = None
        if self._asked_by.setdefault(entry.name, process) != process:
            self._world.met("two clients use one id")

    def handed_out(self, entry: Expected, verdict: Verdict) -> None:
        """A client hands a verdict to its user."""
        hold(entry not in self._handed_out, "a verdict is handed out once", entry.name)
        hold(entry.digest == verdict.spec, "a verdict is about what was asked", entry.name)
        self._handed_out.add(entry)
        self._world.met("handed out")

    def closed(self, entry: Expected) -> None:
        """A client waits for this entry no more."""
        hold(entry in self.open_entries, "an entry ends once", entry.name)
        del self.open_entries[entry]

    def forget_entries(self, client: Sink) -> None:
        """A client died: nobody waits for its entries."""
        for entry in list(self.open_entries):
            if entry.sink is client:
                del self.open_entries[entry]

    @property
    def quiet(self) -> bool:
        """Whether everything that was asked has its end, and everyone knows it."""
        return not self.unsettled and not self.open_entries

    def unsettled_names(self) -> list[str]:
        """The tasks that have no verdict yet."""
        items = (self.submitted[source] for source in sorted(self.unsettled))
        return [item.name for item in items if isinstance(item, Submission)]

    def ended(self) -> Iterator[tuple[str, str]]:
        """The tasks that have a verdict, each with its status."""
        for name, task in self.tasks.items():
            if task.verdict is not None:
                yield name, task.verdict.status

    def lacking(self) -> Iterator[str]:
        """What has no end yet, for people."""
        for source in sorted(self.unsettled):
            item = self.submitted[source]
            yield f"{item.name if isinstance(item, Submission) else item.task} (submitted at {source})"
        for entry in self.open_entries:
            yield f"its client waits for {entry.name}"
