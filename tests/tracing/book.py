"""What the logs say of a task or two, as entries, for the fold of traces."""

from bus.messages import Abandoned, Assigned, Leader, Refused, Result, Verdict
from bus.reader import Entry
from bus.signing import RESULTS, VERDICTS, Identity
from bus.wire import encode, join_lines, sha256_hex
from tracing.core import Core
from tracing.spans import Span

DIGEST = sha256_hex(b"")
NODE, JUDGE = (Identity.from_seed(bytes([n]) * 32) for n in (1, 2))


def entry(sequence: int, at_ms: int, *lines: object, key: Identity | None = None) -> Entry:
    """A message; signed where a key is given: results by nodes, verdicts by the judge."""
    bodies = [encode(line) for line in lines]
    kind = RESULTS if key is NODE else VERDICTS
    return Entry(sequence, at_ms, "x", key.seal(kind, bodies) if key is not None else join_lines(bodies))


def assigned(task: str, attempt: int, *nodes: str, source: tuple[int, int]) -> Assigned:
    return Assigned(
        task=task,
        attempt=attempt,
        nodes=nodes,
        source=source,
        spec=DIGEST,
        module=DIGEST,
        input=DIGEST,
        lease_ms=1,
    )


def result(
    task: str, node: str, *, decision: int, attempt: int, status: str = "ok", reason: str = ""
) -> Result:
    return Result(
        task=task, node=node, decision=decision, attempt=attempt, status=status, reason=reason,  # type: ignore[arg-type]
        spec=DIGEST, module=DIGEST, input=DIGEST, output_digest=DIGEST, trace=DIGEST, wall_ms=2.5, fuel=10, output=b"o" * 9,
    )  # fmt: skip


def retried() -> dict[str, list[Entry]]:
    """`me.t` is given to n1, which fails of itself, then to n2 and n3, who agree; a stranger claims, and n2 says it twice."""
    fault = result("me.t", "n1", decision=2, attempt=1, status="fault", reason="engine")
    second = result("me.t", "n2", decision=3, attempt=2)
    third = result("me.t", "n3", decision=3, attempt=2)
    stranger = result("me.t", "n9", decision=3, attempt=2)
    verdict = Verdict(
        task="me.t", status="verified", agree=("n2", "n3"), evidence=((2, 0), (3, 0)), attempts=2, source=(5, 0), module=DIGEST,
        fuel=10, energy_j=0.5,
    )  # fmt: skip
    return {
        "tasks": [Entry(5, 1_000, "x", b"{}")],
        "assignments": [
            entry(1, 900, Leader(epoch=1, leader="c1")),
            entry(2, 1_010, assigned("me.t", 1, "n1", source=(5, 0))),
            entry(3, 1_100, assigned("me.t", 2, "n2", "n3", source=(5, 0))),
        ],
        "results": [
            entry(1, 1_050, fault, key=NODE),
            entry(2, 1_150, second, stranger, second, key=NODE),
            entry(3, 1_180, third, key=NODE),
        ],
        "verdicts": [
            entry(1, 905, Leader(epoch=1, leader="v1"), key=JUDGE),
            entry(2, 1_200, verdict, key=JUDGE),
        ],
    }


def given_up() -> dict[str, list[Entry]]:
    """`me.u` is given to nobody: its deadline is over; another submission is no task at all."""
    why = Abandoned(task="me.u", source=(1, 0), status="expired", reason="deadline")
    refused = Refused(client="me", task="odd", source=(1, 1), field="work", limit="is required")
    verdict = Verdict(task="me.u", status="expired", reason="deadline", source=(1, 0))
    return {
        "tasks": [Entry(1, 500, "x", b"{}")],
        "assignments": [entry(1, 700, why, refused)],
        "results": [],
        "verdicts": [entry(1, 720, verdict, key=JUDGE)],
    }


def told(logs: dict[str, list[Entry]], turns: list[str], core: Core | None = None) -> list[Span]:
    """The spans after reading, log by log in the order of `turns`, then the rest; no time passes."""
    core = core or Core("c")
    ahead = {log: iter(entries) for log, entries in logs.items()}
    spans: list[Span] = []
    for log in [*turns, *(log for log, entries in logs.items() for _ in entries)]:
        following = next(ahead[log], None)
        if following is not None:
            core.fold(log, following, 0)
            spans += core.take(0)
    return spans
