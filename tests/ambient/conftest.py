"""A cluster in one object: reads TASKS and answers for coordinator, nodes and verifier as a test tells it to.

It speaks on the real bus, so that the SDK is tested against the contract; only what runs guests is scripted.
"""

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import pytest_asyncio

import ambient
import ambient.asking
from bus.blobs import Blobs
from bus.connection import Bus
from bus.messages import (
    CancelRequest,
    NodesReply,
    Pending,
    Refused,
    ServiceHealth,
    TaskSpec,
    TasksReply,
    TasksRequest,
    TaskView,
    Verdict,
    VerdictRequest,
    WhyReply,
    WhyRequest,
)
from bus.reader import Entry, LogReader
from bus.server import NatsServer
from bus.service import ServiceDesk
from bus.wire import decode, decoder, encode, sha256_hex, split_lines

type Answer = Verdict | Refused | None
type Script = Callable[[TaskSpec, str], Answer]

_SPEC, _CANCEL = decoder(TaskSpec), decoder(CancelRequest)


def echo(spec: TaskSpec, name: str) -> Answer:
    """The guest returns its input, or its arguments as text."""
    output = spec.work.input or " ".join(map(str, spec.work.args)).encode()
    return Verdict(
        task=name,
        status="verified",
        output=output,
        output_digest=sha256_hex(output),
        output_size=len(output),
        agree=("n1", "n2"),
        evidence=((1, 0), (2, 0)),
        fuel=7,
        verify=spec.verify,
    )


class ScriptedCluster:
    """What stands behind the bus. `script` decides each task; None leaves it open."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.script: Script = echo
        self.loses_notices = False
        self.notices_twice = False
        self.holds = False
        self.answers_at_most = 1000
        self.messages: list[int] = []
        self.specs: dict[str, TaskSpec] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.refusals: dict[str, Refused] = {}
        self.asked: list[int] = []
        self.cancelled: list[str] = []
        self.open: set[str] = set()
        self.most_open = 0
        self._digests: dict[str, str] = {}
        self._held: list[tuple[str, list[str]]] = []
        self._outbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._reader = LogReader(bus, "tasks", self._on_entry)
        self._sender: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()

    async def start(self) -> None:
        """Begin to read and to answer."""
        # nats-py's services call a deprecated function of datetime when they start.
        warnings.filterwarnings("ignore", "datetime.datetime.utcnow", DeprecationWarning)
        self._reader.start()
        self._sender = asyncio.create_task(self._send())
        self.verifier = await ServiceDesk.open(self.bus, "verifier", "0.1.0", "scripted")
        await self.verifier.answer("verdict", VerdictRequest, self._answer_verdicts)
        await self.verifier.answer("health", bytes, lambda _: health("verifier"))
        coordinator = await ServiceDesk.open(self.bus, "coordinator", "0.1.0", "scripted")
        await coordinator.answer("why", WhyRequest, self._answer_why)
        await coordinator.answer("nodes", bytes, lambda _: NodesReply([], 0))
        await coordinator.answer("tasks", TasksRequest, self._answer_tasks)
        await coordinator.answer("health", bytes, lambda _: health("coordinator"))

    async def stop(self) -> None:
        """End; the bus stays open."""
        await self._reader.stop()
        assert self._sender is not None
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def until(self, fact: Callable[[], bool], timeout_s: float = 60) -> None:
        """Wait for a fact about this cluster."""
        async with asyncio.timeout(timeout_s):
            while not fact():
                self.changed.clear()
                await self.changed.wait()

    def release(self) -> None:
        """Decide and notice all that is held; go on holding."""
        held, self._held = self._held, []
        for client, names in held:
            self._decide(client, names)

    def notify(self, client: str, verdicts: Sequence[Verdict], *, together: bool) -> None:
        """Send a notice in the form of the question."""
        lines = [encode(verdict) for verdict in verdicts]
        subjects = self.bus.subjects
        for _ in range(2 if self.notices_twice else 1):
            if together:
                self._outbox.put_nowait((subjects.done(client), b"\n".join(lines)))
            else:
                self._outbox.put_nowait((subjects.done(verdicts[0].task), lines[0]))

    def _on_entry(self, entry: Entry) -> None:
        client, lines = entry.subject.rpartition(".")[2], split_lines(entry.body)
        if ".cancel." in entry.subject:
            for line in lines:
                self._cancel(f"{client}.{decode(line, _CANCEL).id}", client)
            return
        self.messages.append(len(lines))
        fresh = [
            name for at, line in enumerate(lines) if (name := self._admit(client, line, (entry.sequence, at)))
        ]
        self.most_open = max(self.most_open, len(self.open))
        if self.holds:
            self._held.append((client, fresh))
        elif fresh:
            self._decide(client, fresh, together=len(lines) > 1)
        self.changed.set()

    def _admit(self, client: str, line: bytes, source: tuple[int, int]) -> str | None:
        spec = decode(line, _SPEC)
        name = f"{client}.{spec.id}"
        if name in self.specs:
            if self._digests[name] != sha256_hex(line):
                self._refuse(
                    Refused(
                        client=client, source=source, field="id", limit="used for another body", task=name
                    )
                )
            return None
        self.specs[name], self._digests[name] = spec, sha256_hex(line)
        answer = self.script(spec, name)
        if isinstance(answer, Refused):
            self._refuse(
                Refused(client=client, source=source, field=answer.field, limit=answer.limit, task=name)
            )
            return None
        self.open.add(name)
        return name

    def _decide(self, client: str, names: list[str], *, together: bool = True) -> None:
        decided = []
        for name in names:
            verdict = self.script(self.specs[name], name) if name in self.open else None
            if isinstance(verdict, Verdict):
                self.give(name, verdict)
                decided.append(self.verdicts[name])
        if decided and not self.loses_notices:
            self.notify(client, decided, together=together)

    def give(self, name: str, verdict: Verdict) -> None:
        """Write a verdict, bound to the submitted line as the contract asks."""
        wire = {field: getattr(verdict, field) for field in Verdict.__struct_fields__}
        self.verdicts[name] = Verdict(**wire | {"spec": self._digests.get(name, "")})
        self.open.discard(name)
        self.changed.set()

    def _refuse(self, refused: Refused) -> None:
        self.refusals[refused.task or ""] = refused
        if not self.loses_notices:
            self._outbox.put_nowait((self.bus.subjects.rejected(refused.client), encode(refused)))
        self.changed.set()

    def _cancel(self, name: str, client: str) -> None:
        self.cancelled.append(name)
        if name in self.open:
            self.give(name, Verdict(task=name, status="cancelled", reason="cancelled"))
            self.notify(client, [self.verdicts[name]], together=False)
        self.changed.set()

    def _answer_verdicts(self, question: VerdictRequest) -> bytes:
        self.asked.append(len(question.tasks))
        self.changed.set()
        lines = [encode(self.verdicts.get(name) or Pending(name)) for name in question.tasks]
        return b"\n".join(lines[: self.answers_at_most])

    def _answer_why(self, question: WhyRequest) -> WhyReply:
        if refused := self.refusals.get(question.task):
            return WhyReply(
                task=question.task, state="refused", detail="", field=refused.field, limit=refused.limit
            )
        state = "waiting" if question.task in self.specs else "unknown"
        return WhyReply(task=question.task, state=state, detail="scripted")

    def _answer_tasks(self, question: TasksRequest) -> TasksReply:
        views = [TaskView(task=name, state="waiting") for name in self.open]
        return TasksReply(views[: question.limit], len(self.open))

    async def _send(self) -> None:
        while True:
            await self.bus.publish(*await self._outbox.get())


def health(service: str) -> ServiceHealth:
    return ServiceHealth(service=service, name="scripted", leading=True, nodes=3)


@pytest.fixture(scope="session", autouse=True)
def _forks(forks: None) -> None:
    """Commands here are forked from one process."""


@pytest_asyncio.fixture
async def scripted(bus: Bus) -> AsyncIterator[ScriptedCluster]:
    """A scripted cluster on a real server."""
    running = ScriptedCluster(bus)
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def vcp(server: NatsServer, cluster: str, scripted: ScriptedCluster) -> AsyncIterator[ambient.Client]:  # noqa: ARG001
    """A client of the scripted cluster."""
    async with ambient.connect(server.url, cluster=cluster, client="me") as client:
        yield client


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for open tasks after 50 ms, not after a second: a test of what is asked need not wait for when."""
    monkeypatch.setattr(ambient.asking, "WAITS_S", (0.05,) * len(ambient.asking.WAITS_S))


@pytest.fixture
def put_blob(bus: Bus) -> Callable[[bytes], Awaitable[str]]:
    """Store a blob as a node would."""
    return Blobs(bus, "n1").put
