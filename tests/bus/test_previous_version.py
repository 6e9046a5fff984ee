"""Peers of version 0.1: what they wrote is read, and what is written today they could read."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from ambient.submission import Form
from bus.messages import (
    CancelRequest,
    Decision,
    ErrorReply,
    Goodbye,
    Hello,
    HelloReply,
    Instruction,
    NodesReply,
    Pending,
    Progress,
    Refused,
    ReputationReply,
    Result,
    ServiceHealth,
    TaskSpec,
    TasksReply,
    TasksRequest,
    Telemetry,
    Verdict,
    VerdictLine,
    VerdictRequest,
    WhyReply,
    WhyRequest,
)
from bus.schemas import message_types, structs
from bus.signing import GOODBYE, HELLO, RESULTS, TELEMETRY, VERDICTS, open_signed
from bus.wire import decode, decoder, encode
from tests.bus.previous import SCHEMAS, Sample, examples, samples, valid

_Paging = dict[str, int]
KINDS: dict[str, Any] = {
    "tasks.submit.": TaskSpec,
    "tasks.cancel.": CancelRequest,
    "assignments": Decision,
    "results.": Result,
    "verdicts": VerdictLine,
    "telemetry.": Telemetry | Goodbye,
    "assign.": Instruction,
    "done.": Verdict,
    "progress.": Progress,
    "rejected.": Refused,
    "svc.coordinator.hello": Hello,
    "svc.coordinator.nodes": _Paging,
    "svc.coordinator.why": WhyRequest,
    "svc.coordinator.tasks": TasksRequest,
    "svc.coordinator.health": _Paging,
    "svc.verifier.verdict": VerdictRequest,
    "svc.verifier.reputation": _Paging,
    "svc.verifier.health": _Paging,
}
ANSWERS: dict[str, Any] = {
    "svc.coordinator.hello": HelloReply,
    "svc.coordinator.nodes": NodesReply,
    "svc.coordinator.why": WhyReply,
    "svc.coordinator.tasks": TasksReply,
    "svc.coordinator.health": ServiceHealth,
    "svc.verifier.verdict": Verdict | Pending | ErrorReply,
    "svc.verifier.reputation": ReputationReply,
    "svc.verifier.health": ServiceHealth,
}
SIGNED = {"results": RESULTS, "verdicts": VERDICTS, "svc": HELLO}
GOLDEN = Path(__file__).parent / "golden"


def same(kind: Any, line: bytes) -> bool:
    """Whether a line is read, and every field of it that is not at its default is written again with the same value."""
    if kind == Telemetry | Goodbye:
        kind = Goodbye if b'"kind":"goodbye"' in line else Telemetry
    message = decode(line, msgspec.json.Decoder(kind))
    again = msgspec.json.decode(encode(message))
    return bool(_without_empty(msgspec.json.decode(line)) == _without_empty(again))


def _without_empty(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _without_empty(value) for key, value in node.items() if value != {}}


def kind_of(table: dict[str, Any], subject: str) -> Any:
    return next(kind for start, kind in table.items() if subject.startswith(start))


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.subject)
def test_what_was_on_the_bus_is_read_to_the_last_field(sample: Sample) -> None:
    """Each member, and each line of an answer; where it was signed the signature holds today."""
    assert all(same(kind_of(KINDS, sample.subject), line) for line in sample.members)
    if sample.answer:
        assert all(same(kind_of(ANSWERS, sample.subject), line) for line in sample.answer.split(b"\n"))
    if sample.is_signed:
        goodbye = GOODBYE if b"goodbye" in sample.body else TELEMETRY
        expected = SIGNED.get(sample.subject.partition(".")[0], goodbye)
        assert open_signed(sample.body, expected)[1] == sample.members


def test_the_samples_are_of_everything_that_goes_over_the_bus() -> None:
    """Every subject of that version is there, and all that a log can say but what takes faults to be said."""
    assert {start for start in KINDS if samples(start)} == KINDS.keys()
    logged = {msgspec.json.decode(line)["kind"] for s in samples("assignments") for line in s.members}
    assert logged == {"enrolled", "assigned", "abandoned", "refused"}


@pytest.mark.parametrize(
    ("name", "line"), examples(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_its_golden_examples_are_read_and_written_again_byte_for_byte(name: str, line: bytes) -> None:
    """No name, order, tag or default has changed."""
    assert encode(decode(line, decoder(structs()[name]))) == line


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_written_today_it_could_read(path: Path) -> None:
    """By its own schemas: an unknown field is one that its decoders pass over. It has no use for messages that it does not know."""
    name, line = path.name.split(".")[0], path.read_bytes()
    if name in SCHEMAS:
        assert valid(name, line)
    else:
        assert name in structs().keys() - SCHEMAS.keys()


def test_a_task_that_it_submitted_is_the_same_task_for_an_upgraded_client() -> None:
    """The same call gives the same bytes, so that the same id may be submitted again after an upgrade."""
    (add,) = [each for each in samples("tasks.submit.") if b'"id":"t2"' in each.body]
    (primes,) = [each for each in samples("tasks.submit.") if b'"id":"t1"' in each.body]
    again = Form(module_of(add), {"entry": "add"}).line("t2", (40, 2), b"")
    quorum = Form(module_of(primes), {"entry": "count_primes", "verify": "quorum:2/3"}).line(
        "t1", (1000,), b""
    )

    assert again == add.body
    assert quorum == primes.body
    assert valid("TaskSpec", again)


def test_a_strict_reader_takes_all_that_an_sdk_call_says_unless_it_asks_for_more() -> None:
    """A submission is read strictly: a field that version 0.1 does not know appears only where the caller wants what it means."""
    options: Any = {
        "env": {"A": "b"},
        "verify": "quorum:3/5",
        "limits": {"memory_mb": 1, "fuel": 1, "wall_ms": 1, "output_bytes": 0, "stderr_bytes": 0},
        "place": {"region": "eu", "node_types": ("edge",), "labels": {"a": "b"}, "min_cores": 1, "node": "n"},
        "priority": 9,
        "max_attempts": 100,
    }
    line = Form("sha256:" + "0" * 64, options).line("t", ("x",), b"hi")

    assert valid("TaskSpec", line)
    with pytest.raises(Exception, match="Additional properties"):
        valid("TaskSpec", line[:-1] + b',"newer":1}')


def test_every_schema_of_it_is_that_of_a_message_today() -> None:
    """No message has gone."""
    assert SCHEMAS.keys() <= message_types().keys()


def module_of(sample: Sample) -> str:
    return str(msgspec.json.decode(sample.body)["work"]["module"])
