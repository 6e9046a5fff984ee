"""Logs written by hand: every line is honest unless a test makes it otherwise, and every signature is real."""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from msgspec.structs import replace

from ambient.audit import Audit, Report
from bus.messages import (
    Abandoned,
    Assigned,
    Capabilities,
    Enrolled,
    Inconclusive,
    Late,
    Leader,
    Quorum,
    Refused,
    Result,
    TaskSpec,
    Verdict,
    Wasm,
)
from bus.reader import Entry
from bus.signing import RESULTS, VERDICTS, Identity
from bus.subjects import LOGS, Subjects
from bus.wire import encode, join_lines, sha256_hex

TWO_OF_THREE = Quorum(agree=2, of=3)
NODES = ("n1", "n2", "n3", "n4")
HOUR_MS = 3_600_000
MODULE = sha256_hex(b"module")
NOTHING = sha256_hex(b"")
_BEGIN_MS = 1_577_836_800_000
_CAPABILITIES = Capabilities(version="1", engine="e", cores=1, memory_mb=1, slots=1)
_SUBJECTS = Subjects("test")

Place = tuple[int, int]


@cache
def identity(name: str) -> Identity:
    """The same key for the same name in every test."""
    return Identity.from_seed(sha256_hex(name.encode()).encode()[:32])


class Book:
    """The four logs of a small cluster; it begins with a leader and four enrolled nodes. Each line is a message of its own."""

    def __init__(self, *, opened: bool = True) -> None:
        self.entries: dict[str, list[Entry]] = {log: [] for log in LOGS}
        self.now_ms = _BEGIN_MS
        if opened:
            self.decide(Leader(epoch=1, leader="c1"), *(self.enrolled(node) for node in NODES))

    # Writing

    def write(self, log: str, subject: str, body: bytes) -> int:
        """Append a message; its sequence."""
        entries = self.entries[log]
        self.now_ms += 1
        entries.append(Entry(len(entries) + 1, self.now_ms, subject, body))
        return len(entries)

    def ask(self, *lines: bytes, client: str = "me") -> int:
        """A client submits."""
        return self.write("tasks", _SUBJECTS.submit(client), join_lines(lines))

    def withdraw(self, task: str, client: str = "me") -> int:
        """A client cancels."""
        return self.write("tasks", _SUBJECTS.cancel(client), b'{"id":"%s"}' % task.encode())

    def decide(self, *lines: Any) -> int:
        """The coordinator writes."""
        return self.write("assignments", _SUBJECTS.assignments, join_lines([encode(line) for line in lines]))

    def claim(self, *results: Result, key: str = "") -> int:
        """A node writes, in its own name unless told otherwise."""
        node = results[0].node
        body = identity(key or node).seal(RESULTS, [encode(result) for result in results])
        return self.write("results", _SUBJECTS.results(node), body)

    def judge(self, *lines: Any, key: str = "verifier") -> int:
        """The verifier writes."""
        body = identity(key).seal(VERDICTS, [encode(line) for line in lines])
        return self.write("verdicts", _SUBJECTS.verdicts, body)

    # Lines

    @staticmethod
    def enrolled(node: str, key: str = "") -> Enrolled:
        """A node joins."""
        return Enrolled(node=node, key=identity(key or node).key, capabilities=_CAPABILITIES)

    # Steps of an honest history

    def task(self, name: str = "t1", **fields: Any) -> "Story":
        """A task is submitted; one node suffices."""
        return Story(self, name, **fields)

    def quorum(self, name: str = "t1", **fields: Any) -> "Story":
        """A task is submitted of which two of three must agree."""
        return Story(self, name, verify=TWO_OF_THREE, **fields)

    # Auditing

    def audit(
        self, order: Sequence[str] = LOGS, *, kept: dict[str, int] | None = None, **options: Any
    ) -> Report:
        """The report on it, log by log; `kept` are the first sequences that are left of trimmed logs."""
        found = Audit(**options)
        for log in order:
            first = (kept or {}).get(log, 1)
            found.spans(log, first, len(self.entries[log]))
            for entry in self.entries[log][first - 1 :]:
                found.fold(log, entry)
        return found.report()


class Story:
    """One task of a book, told honestly step by step; each step takes fields that make it a lie."""

    def __init__(self, book: Book, name: str, *, client: str = "me", **fields: Any) -> None:
        given: dict[str, Any] = {"work": Wasm(module=f"sha256:{MODULE}"), **fields}
        self.book = book
        self.name = f"{client}.{name}"
        self.spec = TaskSpec(id=name, **given)
        self.line = encode(self.spec)
        self.source: Place = (book.ask(self.line, client=client), 0)
        self.digests: dict[str, str] = {"spec": sha256_hex(self.line), "module": MODULE, "input": NOTHING}
        self.attempt = 0
        self.decision = 0
        self.results: dict[str, tuple[Result, Place]] = {}
        self.verdict: Verdict | None = None

    def assigned(self, *nodes: str, **fields: Any) -> "Story":
        """The next attempt goes to these nodes."""
        given: dict[str, Any] = {
            "nodes": nodes or ("n1",), "attempt": self.attempt + 1, "source": self.source, "verify": self.spec.verify, "lease_ms": 1000,
            "reward": self.spec.reward, "price": self.spec.price,
            **self.digests, **fields,
        }  # fmt: skip
        line = Assigned(task=self.name, **given)
        self.attempt = line.attempt
        self.decision = self.book.decide(line)
        return self

    def claimed(
        self, *nodes: str, output: bytes = b"42", kept: bool = True, key: str = "", **fields: Any
    ) -> "Story":
        """These nodes answer the last attempt; an output that is not `kept` in the message is a blob."""
        for node in nodes or ("n1",):
            given: dict[str, Any] = {
                "decision": self.decision, "attempt": self.attempt, "status": "ok", "output": output if kept else None,
                "output_digest": sha256_hex(output), "output_size": len(output), "trace": sha256_hex(b"trace"),
                "fuel": 10, "wall_ms": 1.5, "energy_j": 0.1, "energy_method": "test", **self.digests, **fields,
            }  # fmt: skip
            result = Result(task=self.name, node=node, **given)
            self.results[node] = (result, (self.book.claim(result, key=key), 0))
        return self

    def faulted(self, *nodes: str, **fields: Any) -> "Story":
        """These nodes failed of themselves."""
        return self.claimed(*nodes, status="fault", reason="wall", **fields)

    def accepted(
        self, *agree: str, dissent: Iterable[str] = (), key: str = "verifier", **fields: Any
    ) -> "Story":
        """The verifier accepts what these nodes said."""
        agree = agree or ("n1",)
        dissent = tuple(dissent)
        counted = [self.results[node] for node in (*agree, *dissent)]
        first = counted[0][0]
        given: dict[str, Any] = {
            "status": "verified" if first.status == "ok" else "failed", "reason": first.reason,
            "output": first.output, "output_digest": first.output_digest, "output_size": first.output_size,
            "evidence": tuple(place for _, place in counted), "verify": self.spec.verify, "trace": first.trace,
            "attempts": self.attempt, "fuel": first.fuel, "wall_ms": first.wall_ms, "source": self.source,
            "energy_j": math.fsum(result.energy_j for result, _ in counted), "energy_method": "test", "reward": self.spec.reward,
            "price": self.spec.price, **self.digests,
        }  # fmt: skip
        self.verdict = Verdict(task=self.name, agree=agree, dissent=dissent, **{**given, **fields})
        self.book.judge(self.verdict, key=key)
        return self

    def again(self, **fields: Any) -> "Story":
        """The last verdict once more."""
        assert self.verdict is not None
        self.book.judge(replace(self.verdict, **fields))
        return self

    def abandoned(self, status: str = "failed", reason: str = "attempts", **fields: Any) -> "Story":
        """The coordinator gives the task up."""
        given: dict[str, Any] = {
            "status": status, "reason": reason, "source": self.source, "verify": self.spec.verify,
            **self.digests, **fields,
        }  # fmt: skip
        self.book.decide(Abandoned(task=self.name, **given))
        return self

    def given_up(self, status: str = "failed", reason: str = "attempts", **fields: Any) -> "Story":
        """The verifier makes that a verdict."""
        given: dict[str, Any] = {
            "status": status, "reason": reason, "source": self.source, "verify": self.spec.verify,
            "attempts": self.attempt, **self.digests, **fields,
        }  # fmt: skip
        self.verdict = Verdict(task=self.name, **given)
        self.book.judge(self.verdict)
        return self

    def inconclusive(self, *exclude: str, need: int = 1, **fields: Any) -> "Story":
        """The verifier asks for more."""
        given: dict[str, Any] = {"after": self.attempt, "exclude": exclude, **fields}
        self.book.judge(Inconclusive(task=self.name, need=need, **given))
        return self

    def late(self, node: str, *, agrees: bool = True, **fields: Any) -> "Story":
        """The verifier notes a result that came after the verdict."""
        given: dict[str, Any] = {"evidence": self.results[node][1], **fields}
        self.book.judge(Late(task=self.name, node=node, agrees=agrees, **given))
        return self

    def refused(self, field: str = "work.module", **fields: Any) -> "Story":
        """The coordinator refuses it."""
        given: dict[str, Any] = {"source": self.source, "task": self.name, **fields}
        self.book.decide(Refused(client="me", field=field, limit="must be otherwise", **given))
        return self

    def done(self) -> "Story":
        """The whole story of one node's answer."""
        return self.assigned("n1").claimed("n1").accepted("n1")

    def heard(self) -> "Story":
        """Three nodes have it and answer; the third of them lies."""
        return self.assigned("n1", "n2", "n3").claimed("n1", "n2").claimed("n3", output=b"43")
