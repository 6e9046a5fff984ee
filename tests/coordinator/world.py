"""A small world around the coordinator's core: logs, nodes, the verifier's real core, and no I/O.

Whatever happens in it is said by a test, step by step; `settle` lets it go on, in peace, until nothing happens any more.
"""

import hashlib
import json
from collections import defaultdict
from typing import Any

from bus.messages import (
    Abandoned,
    Assign,
    Assigned,
    CancelAttempt,
    Capabilities,
    Credit,
    Decision,
    Drain,
    EnrolAgain,
    Goodbye,
    Hello,
    Refused,
    Result,
    Telemetry,
    Undrain,
    Verdict,
)
from bus.reader import Entry
from bus.signing import Identity
from bus.subjects import Subjects
from bus.wire import decode, decoder, encode, sha256_hex, split_lines
from coordinator.checkpoint import pack, restore
from coordinator.core import Core
from coordinator.instructions import Instructions
from coordinator.settings import Timing
from coordinator.strategies import strategy_named
from folds.runs import Run, build, merge
from ledger.book import Ledger
from ledger.orders import sign
from sandbox.module import inspect
from tests.coordinator.scripted import ADD, NOTHING
from verifier.claims import Claims
from verifier.core import Core as Judge

SUBJECTS = Subjects("w")
KEYS = {f"n{i}": f"{i:064x}" for i in range(10)}
LETTERS = {"v": "verdicts", "a": "assignments", "t": "tasks", "r": "results", "d": "anchors"}
"""The logs by a letter each; `d` for deposits."""
OPERATOR = Identity.from_seed(bytes(32))
_DECISION = decoder(Decision)  # type: ignore[arg-type, var-annotated]
_TOLD = decoder(Assign | CancelAttempt | EnrolAgain | Drain | Undrain)  # type: ignore[arg-type, var-annotated]


class World:
    """Logs are lists of entries; `core` is the present leader; `pending` are lines that it decided and nobody wrote yet."""

    def __init__(self, nodes: int = 4, *, slots: int = 2, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self.slots = slots
        self.now_ms = 1_000_000
        self.logs: dict[str, list[Entry]] = {
            log: [] for log in ("tasks", "assignments", "results", "verdicts", "anchors")
        }
        self.held: dict[str, dict[str, Assign]] = {}
        self.ran: dict[str, set[str]] = defaultdict(set)
        self.alive: set[str] = set()
        self.draining: set[str] = set()
        self.told: list[tuple[str, bytes]] = []
        self.pending: list[tuple[bytes, Any]] = []
        self.judge = Judge()
        self.restarts = 0
        self.core = self._fresh()
        self.core.lead("first", self.now_ms)
        for name in list(KEYS)[:nodes]:
            self.revive(name)
        self.flush()

    # The coordinator

    def _fresh(self) -> Core:
        return Core(SUBJECTS, strategy_named("weighted"), self.timing, seed=1)

    def turn(self) -> None:
        """Let the core decide until it has no more to say."""
        while True:
            instructions = self.core.decide(self.now_ms)
            self._carry_out(instructions)
            if not instructions.more and not instructions.ask:
                return

    def _carry_out(self, instructions: Instructions) -> None:
        self.pending += instructions.lines
        for question in instructions.ask:
            if question.what == "purse":
                self.core.purse_known(question, self.core.purse_waiting(question))
            elif question.what == "module" and question.digest == sha256_hex(ADD):
                self.core.blob_found(question, inspect(ADD))
            else:
                self.core.blob_missing(question, "not stored")
        for subject, body in instructions.publish:
            self.told.append((subject, body))
            node = subject.rpartition(".")[2]
            if ".assign." in subject and node in self.alive:
                self._deliver(node, body)

    def _deliver(self, node: str, body: bytes) -> None:
        for line in split_lines(body):
            told = decode(line, _TOLD)
            if isinstance(told, Assign):
                key = f"{told.task}#{told.attempt}"
                if key not in self.ran[node]:
                    self.held[node][key] = told
            elif isinstance(told, CancelAttempt):
                self.held[node].pop(f"{told.task}#{told.attempt}", None)
            elif isinstance(told, EnrolAgain):
                self._hello(node)

    def flush(self, most: int | None = None) -> None:
        """Write what was decided, up to `most` lines, and tell the core."""
        self.turn()
        while self.pending and most != 0:
            batch = self.pending[: min(7, most or 7)]
            del self.pending[: len(batch)]
            most = None if most is None else most - len(batch)
            sequence = self._append("assignments", SUBJECTS.assignments, [line for line, _ in batch])
            self.core.durable(sequence, [token for _, token in batch], self.now_ms)
            self._carry_out(self.core.take_instructions())
            self.turn()

    def restart(self, *, written: int = 0, order: str = "vatrd") -> None:
        """The leader dies; `written` of the lines that it decided were written, but it never learned of it."""
        lines = [line for line, _ in self.pending[:written]]
        if lines:
            self._append("assignments", SUBJECTS.assignments, lines)
        self.pending.clear()
        self.restarts += 1
        self.core = self.folded(order)
        self.core.lead("next", self.now_ms)
        self.turn()

    def folded(self, order: str) -> Core:
        """A core that folded the logs; each letter of `order` is a log's next third, or all that is left the last time."""
        core = self._fresh()
        left, at = LETTERS, dict.fromkeys(LETTERS, 0)
        for position, letter in enumerate(order):
            log = self.logs[left[letter]]
            last = letter not in order[position + 1 :]
            to = len(log) if last else min(len(log), at[letter] + len(log) // 3 + 1)
            for entry in log[at[letter] : to]:
                self._fold(core, letter, entry)
            at[letter] = to
        return core

    def checkpoint(self) -> tuple[bytes, list[Run]]:
        """What the leader would keep: all that it decided is durable by then. Every second thing finished goes into a run."""
        self.flush()
        finished = self.core.ledger.finished
        given = finished.to_seal(2)
        if given is not None:
            finished.sealed(Run(build(*given)))
        if (group := finished.to_merge()) is not None:
            finished.merged(group, Run(merge(group)))
        return pack(self.core), list(finished.runs)

    def resumed(self, kept: tuple[bytes, list[Run]], order: str = "vatrd") -> Core:
        """A core that was restored from a checkpoint and folded what came since."""
        core = self._fresh()
        restore(core, *kept, self.now_ms)
        for letter in order:
            log = LETTERS[letter]
            for entry in self.logs[log][core.positions[log] :]:
                self._fold(core, letter, entry)
        return core

    def resume(self, kept: tuple[bytes, list[Run]], order: str = "vatrd") -> None:
        """The leader dies; its successor begins from a checkpoint."""
        self.pending.clear()
        self.restarts += 1
        self.core = self.resumed(kept, order)
        self.core.lead("next", self.now_ms)
        self.turn()

    def _fold(self, core: Core, letter: str, entry: Entry) -> None:
        match letter:
            case "v":
                core.fold_verdicts(entry)
            case "a":
                core.fold_assignments(entry, self.now_ms)
            case "t":
                core.fold_tasks(entry)
            case "r":
                core.fold_results(entry)
            case "d":
                core.fold_anchors(entry)

    def _append(self, log: str, subject: str, lines: list[bytes]) -> int:
        sequence = len(self.logs[log]) + 1
        path = f"path-{sequence}" if log == "tasks" else ""
        entry = Entry(sequence, self.now_ms, subject, b"\n".join(lines), path)
        self.logs[log].append(entry)
        return entry.sequence

    # Clients

    def submit(self, *lines: dict[str, Any] | bytes, client: str = "me") -> int:
        """A client writes these lines in one message; returns its sequence."""
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        sequence = self._append("tasks", SUBJECTS.submit(client), raw)
        self.core.fold_tasks(self.logs["tasks"][-1])
        self.turn()
        return sequence

    def cancel(self, task_id: str, client: str = "me") -> None:
        """A client withdraws a task."""
        self._append("tasks", SUBJECTS.cancel(client), [json.dumps({"id": task_id}).encode()])
        self.core.fold_tasks(self.logs["tasks"][-1])
        self.turn()

    def deposit(self, amount: int, client: str = "me") -> None:
        """An operator credits a client."""
        name = f"d{len(self.logs['anchors'])}"
        order = Credit(cluster="w", id=name, account=f"client/{client}", amount=amount)
        self._append("anchors", SUBJECTS.anchors, [encode(sign(order, OPERATOR))])
        self.core.fold_anchors(self.logs["anchors"][-1])
        self.turn()

    # Nodes

    def _hello(self, node: str) -> None:
        capabilities = Capabilities(version="1", engine="e", cores=4, memory_mb=4096, slots=self.slots)
        self.core.hello(Hello(node=node, capabilities=capabilities), KEYS[node], self.now_ms)

    def revive(self, node: str) -> None:
        """The node starts, or starts again, with nothing in hand."""
        self.alive.add(node)
        self.held[node] = {}
        self._hello(node)
        self.beat(node)

    def kill(self, node: str) -> None:
        """The node falls silent."""
        self.alive.discard(node)

    def leave(self, node: str) -> None:
        """The node says goodbye and hands back what it holds."""
        if node in self.alive:
            self.alive.discard(node)
            goodbye = Goodbye(node=node, handed_back=tuple(self.held[node]))
            self.core.goodbye(goodbye, self.now_ms)

    def beat(self, node: str) -> None:
        """The node sends a heartbeat."""
        telemetry = Telemetry(
            node=node,
            at_ms=self.now_ms,
            cpu_free=0.5,
            memory_free=0.5,
            latency_ms=1,
            bandwidth_mbps=100,
            open=tuple(self.held[node]),
            draining=node in self.draining,
        )
        if self.core.registry.key(node) is None:
            self.core.stranger(node)
        else:
            self.core.hear(telemetry, self.now_ms)

    def lose(self, node: str) -> None:
        """What was delivered to the node and not begun is lost on the way."""
        if node in self.alive:
            self.held[node].clear()

    def answer(self, node: str, status: str = "ok", output: bytes = b"42") -> None:
        """The node ends the first attempt that it holds."""
        if node not in self.alive or not self.held[node]:
            return
        key, told = next(iter(self.held[node].items()))
        del self.held[node][key]
        self.ran[node].add(key)
        spec = json.loads(bytes(told.spec))
        result = Result(
            decision=told.decision,
            task=told.task,
            attempt=told.attempt,
            node=node,
            status=status,  # type: ignore[arg-type]
            spec=sha256_hex(bytes(told.spec)),
            module=spec["work"]["module"][7:],
            input=NOTHING,
            output_digest=sha256_hex(output),
            output=output,
            output_size=len(output),
            trace=NOTHING,
            wall_ms=1.0,
            fuel=2 * 10**9,
        )
        sequence = self._append("results", SUBJECTS.results(node), [encode(result)])
        self.core.fold_results(self.logs["results"][-1])
        self._catch_up()
        self.judge.fold_claims(Claims(sequence, node, KEYS[node], [(0, result)], 0, result.decision))

    # The verifier

    def _catch_up(self) -> None:
        for entry in self.logs["assignments"][self.judge.decided :]:
            self.judge.fold_decisions(entry.sequence, entry.body)

    def verify(self) -> None:
        """The verifier writes what it can decide, and the coordinator reads it."""
        self._catch_up()
        emissions = self.judge.judge()
        if emissions:
            sequence = self._append("verdicts", SUBJECTS.verdicts, [emission.line for emission in emissions])
            self.judge.placed(sequence, emissions)
            self.core.fold_verdicts(self.logs["verdicts"][-1])
            self.turn()

    # Time

    def advance(self, ms: int) -> None:
        """Time passes; who lives, beats."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 500)
            if self.now_ms % 2000 < 500:
                for node in sorted(self.alive):
                    self.beat(node)
            self.core.tick(self.now_ms)
            self.turn()

    def settle(self, rounds: int = 400) -> None:
        """Peace: all nodes live and are honest; until all is done."""
        for node in self.held:
            if node not in self.alive:
                self.revive(node)
        for _ in range(rounds):
            self.flush()
            for node in sorted(self.alive):
                while self.held[node]:
                    self.answer(node)
            self.verify()
            self.flush()
            if not self.core.ledger.open and not self.core.ledger.refusals:
                return
            self.advance(1000)
        raise AssertionError(f"never ends: {list(self.core.ledger.open.values())[:3]} {self.core!r}")

    # What was decided

    def decisions[T](self, kind: type[T]) -> list[T]:
        """Those of one kind (or union of kinds), in order."""
        lines = [line for entry in self.logs["assignments"] for line in split_lines(entry.body)]
        return [each for each in (decode(line, _DECISION) for line in lines) if isinstance(each, kind)]

    def verdicts(self) -> list[Verdict]:
        """What was accepted, in order."""
        lines = [line for entry in self.logs["verdicts"] for line in split_lines(entry.body)]
        return [decode(line, decoder(Verdict)) for line in lines if b'"kind":"verdict"' in line]

    def check(self) -> None:
        """What must hold of the logs at any time."""
        attempts: dict[str, list[Assigned]] = defaultdict(list)
        for assigned in self.decisions(Assigned):
            attempts[assigned.task].append(assigned)
        for name, made in attempts.items():
            assert [each.attempt for each in made] == list(range(1, len(made) + 1)), name
            self._check_nodes(made)
        abandoned = [each.task for each in self.decisions(Abandoned)]
        assert len(set(abandoned)) == len(abandoned)
        refused = [each.source for each in self.decisions(Refused)]
        assert len(set(refused)) == len(refused)
        # Whoever led, from whichever checkpoint: how a task came in is said with all that becomes of it.
        for said in (*self.decisions(Assigned), *self.decisions(Abandoned), *self.decisions(Refused)):
            assert said.path == f"path-{said.source[0]}", said
        judged = [verdict.task for verdict in self.verdicts()]
        assert len(set(judged)) == len(judged)
        self._check_money()
        if not self.restarts:
            count = len(self.core.registry)
            assert (self.core.registry.used[:count] <= self.core.registry.limit[:count]).all()

    def _check_money(self) -> None:
        """What was decided to be held, and what verdicts took, never comes to more than was deposited."""
        book = Ledger()
        for entry in self.logs["anchors"]:
            book.fold_anchors(entry)
        for entry in self.logs["verdicts"]:
            book.fold_verdicts(entry)
        ended = {(verdict.task, verdict.source) for verdict in self.verdicts()}
        held = {
            each.task: each.reward
            for each in self.decisions(Assigned)
            if (each.task, each.source) not in ended
        }
        has = book.accounts.totals("client/me")
        assert sum(held.values()) <= has.balance, (held, has)
        assert self.core.ledger.purses.free("me") <= has.balance - sum(held.values())
        assert self.core.ledger.purses.held("me") == sum(t.held for t in self.core.ledger.open.values())

    @staticmethod
    def _check_nodes(made: list[Assigned]) -> None:
        held: set[str] = set()
        for assigned in made:
            held -= set(assigned.replaces)
            assert len(set(assigned.nodes)) == len(assigned.nodes)
            assert not held & set(assigned.nodes), (assigned, held)
            held |= set(assigned.nodes)


def snapshot(core: Core) -> dict[str, Any]:
    """The part of a core's state that the logs determine."""
    ledger = core.ledger
    return {
        "open": {
            name: (
                task.source,
                task.digest,
                task.raw,
                task.path,
                task.attempt,
                task.closing,
                task.cancelled and not task.closing,
                task.needs_more and task.need,
                task.excluded,
                # Nobody acts on a task that is given up: how its attempts ended is all one.
                not task.closing and sorted((h.attempt, h.node, h.state, h.decision) for h in task.holders),
                sorted(rival.source for rival in task.rivals or ()),
            )
            for name, task in ledger.open.items()
        },
        "finished": {name: ledger.known(name) for name in ledger.ended},
        "refusals": dict(ledger.refusals),
        "epoch": core.epoch,
        "positions": core.positions,
        "reputation": core.reputation,
        "purses": sorted(ledger.purses),
        "held": {name: task.held for name, task in ledger.open.items() if task.held and task.attempt},
        "keys": {node: core.registry.key(node) for node in KEYS},
    }


def digest(text: str) -> str:
    """A digest of a module that nobody stored."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
