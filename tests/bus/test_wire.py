"""Bytes to messages: whatever arrives, the answer is a message or `Malformed`, and it names field and limit."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.errors import Malformed, UnknownKind
from bus.messages import (
    Decision,
    Inconclusive,
    Instruction,
    Late,
    Leader,
    Result,
    TaskSpec,
    Verdict,
    VerdictLine,
)
from bus.schemas import structs
from bus.wire import (
    MAX_LINES,
    MAX_MESSAGE_BYTES,
    decode,
    decoder,
    encode,
    encode_all,
    split_documents,
    split_lines,
)

MODULE = "sha256:" + "0" * 64
TASK = decoder(TaskSpec)
VERDICT_LINE: msgspec.json.Decoder[VerdictLine] = msgspec.json.Decoder(VerdictLine)
DECODERS: dict[str, msgspec.json.Decoder[Any]] = {name: decoder(kind) for name, kind in structs().items()} | {
    "Decision": decoder(Decision),
    "Instruction": decoder(Instruction),
    "VerdictLine": decoder(VerdictLine),
}
WORDS = sorted({name for kind in structs().values() for name in kind.__struct_encode_fields__} | {"kind"})
TAGS = ["wasm", "quorum", "signature", "assigned", "leader", "verdict", "late", "cancel", "error", MODULE]
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TAGS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=12,
)


def task(**changes: Any) -> bytes:
    work = {"kind": "wasm", "module": MODULE, **changes.pop("work", {})}
    return json.dumps({"work": work, **changes}).encode()


def refusal(body: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        decode(body, TASK)
    return caught.value


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=25)
@given(data=st.data())
def test_whatever_arrives_is_a_message_or_malformed(name: str, data: st.DataObject) -> None:
    """Any bytes, and any JSON made of our own words, for every decoder: never another error."""
    body = data.draw(st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()))
    try:
        message = decode(body, DECODERS[name])
    except Malformed:
        return

    assert decode(encode(message), DECODERS[name]) == message


@pytest.mark.parametrize("name", ["TaskSpec", "Assign", "Result", "Decision"])
@pytest.mark.parametrize("opening", [b"[", b'{"work":', b'{"x":[', b'{"spec":'])
def test_deep_nesting_is_malformed(name: str, opening: bytes) -> None:
    """A hundred thousand open brackets end in a refusal, not in a full stack."""
    with pytest.raises(Malformed):
        decode(opening * 100_000, DECODERS[name])


@pytest.mark.parametrize(
    ("body", "field", "limit"),
    [
        (b"{}", "work", "is required"),
        (task(verfy={}), "verfy", "is not a field here"),
        (task(work={"inptu": ""}), "work.inptu", "is not a field here"),
        (task(work={"kind": "docker"}), "work.kind", "Invalid value 'docker'"),
        (task(work={"module": "sha256:12"}), "work.module", "matching regex"),
        (task(work={"module": MODULE + "\n"}), "work.module", "matching regex"),
        (task(work={"input": "?"}), "work.input", "base64"),
        (task(work={"input": "A" * 87_388}), "work.input", "length <= 65536"),
        (task(work={"input": "aGk=", "input_blob": MODULE}), "work", "not both"),
        (task(work={"args": [None]}), "work.args[0]", "got `null`"),
        (task(work={"args": [0] * 257}), "work.args", "length <= 256"),
        (task(work={"env": {"k" * 4097: ""}}), "work.env", "length <= 4096"),
        (task(id="a.b"), "id", "matching regex"),
        (task(id="a\n"), "id", "matching regex"),
        (task(id=5), "id", "got `int`"),
        (task(verify={"kind": "quorum", "agree": 1, "of": 2}), "verify.agree", "majority"),
        (task(verify={"kind": "quorum", "agree": 3, "of": 2}), "verify.agree", "at most"),
        (task(verify={"kind": "quorum", "agree": 2}), "verify.of", "is required"),
        (task(limits={"memory_mb": 5000}), "limits.memory_mb", "<= 4096"),
        (task(limits={"wall_ms": 0}), "limits.wall_ms", ">= 1"),
        (task(place={"labels": {"a b": "c"}}), "place.labels", "matching regex"),
        (task(priority=10), "priority", "<= 9"),
        (task(max_attempts=0), "max_attempts", ">= 1"),
        (task(deadline="tomorrow"), "deadline", "RFC3339"),
        (task(deadline="2026-12-24T18:00:00"), "deadline", "timezone"),
        (task(deadline="9999-12-31T23:59:59-23:59"), "deadline", "years 1 to 9999"),
        (task(deadline="0001-01-01T00:00:00+23:59"), "deadline", "years 1 to 9999"),
        (b"[]", "", "Expected `object`, got `array`"),
        (b'{"id":', "", "one JSON object a line"),
        (b'{"id":"\xff"}', "", "one JSON object a line"),
        (b"not json", "", "one JSON object a line"),
    ],
)
def test_a_refusal_names_the_field_and_what_is_allowed_there(body: bytes, field: str, limit: str) -> None:
    """The person who wrote it learns what to change."""
    refused = refusal(body)

    assert (refused.field, limit in refused.limit) == (field, True), str(refused)


@pytest.mark.parametrize("name", ["\0" * 200_000, "x - at `$.id`", "`", "é" * 1000])
def test_a_refusal_stays_small_whatever_the_name(name: str) -> None:
    """A name may be as long as a message; a refusal of it must still fit into one, escapes and all."""
    refused = refusal(json.dumps({name: 1}).encode())

    assert len(encode({"field": refused.field, "limit": refused.limit})) < 10_000
    assert len(encode(str(refusal(task(verify={"kind": name}))))) < 10_000


def test_a_submission_forgives_no_typo_and_a_peer_may_know_more() -> None:
    """Unknown fields are refused where a client writes, and ignored between programs of different age."""
    line = b'{"decision":1,"task":"me.t","attempt":1,"node":"n","status":"ok","spec":"","module":"","input":"","output_digest":"","trace":"","tomorrow":1}'

    assert decode(line, decoder(Result)).task == "me.t"
    assert refusal(task(tomorrow=1)).field == "tomorrow"


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda line: b"\n" not in line), max_size=9))
def test_members_are_the_bytes_between_line_breaks(lines: list[bytes]) -> None:
    """Blank lines are no members; everything else comes back byte for byte, a carriage return included."""
    members = [line for line in lines if not line.isspace()]
    if members:
        assert split_lines(b"\n".join(lines)) == members
    else:
        with pytest.raises(Malformed, match="empty"):
            split_lines(b"\n".join(lines))


def test_the_limits_of_a_body_are_exact_and_named() -> None:
    """The last allowed line and byte pass; one more is refused with the number that is allowed."""
    assert len(split_lines(b"1\n" * MAX_LINES)) == MAX_LINES
    assert split_lines(b"x" * MAX_MESSAGE_BYTES)
    with pytest.raises(Malformed, match=f"at most {MAX_LINES} lines"):
        split_lines(b"1\n" * (MAX_LINES + 1))
    with pytest.raises(Malformed, match=f"at most {MAX_MESSAGE_BYTES} bytes"):
        split_lines(b"x" * (MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize("indent", [1, 2, "\t"])
@pytest.mark.parametrize("shape", ["indented", "opened on the first line", "windows"])
def test_a_document_over_many_lines_is_one_member(indent: int | str, shape: str) -> None:
    """People write task files by hand; the file is one task, however it is laid out."""
    body = json.dumps({"id": "t1", "work": {"kind": "wasm", "module": MODULE}}, indent=indent).encode()
    if shape == "opened on the first line":
        body = b"{" + body[1:].lstrip()
    elif shape == "windows":
        body = body.replace(b"\n", b"\r\n")

    assert split_documents(body) == [body]
    assert decode(split_documents(body)[0], TASK).id == "t1"


def test_many_documents_stay_many() -> None:
    """One a line; a bad one among them spoils no other."""
    body = b'{"id":"a"}\nnonsense\n{"id":"b"}'

    assert split_documents(body) == body.split(b"\n")
    assert split_documents(b'nonsense\n{"id":"b"}') == [b"nonsense", b'{"id":"b"}']


def test_a_typo_in_an_indented_document_is_refused_once() -> None:
    """Not once per line of it."""
    body = b'{\n  "id": "t1",\n  "work": {,}\n}'

    assert split_documents(body) == [body]


def test_a_body_of_messages_is_one_line_each() -> None:
    """What is encoded together is split into the same messages."""
    specs = [decode(task(id=f"t{i}"), TASK) for i in range(3)]

    assert [decode(line, TASK) for line in split_lines(encode_all(specs))] == specs


def test_a_kind_that_is_not_known_is_told_from_damage() -> None:
    """Only the line's own tag counts: a newer peer's line is passed over, a broken one of a known kind is not."""
    for line in (b'{"kind":"newer","any":[1]}', b'{"any":1,"kind":"x`y - at `$.task`"}'):
        with pytest.raises(UnknownKind):
            decode(line, VERDICT_LINE)
    for line in (b'{"kind":"verdict"}', b'{"kind":7}', b"{}", b'{"kind":"late","task":"t","node":1}'):
        with pytest.raises(Malformed) as caught:
            decode(line, VERDICT_LINE)

        assert not isinstance(caught.value, UnknownKind)


def test_what_a_reader_does_not_know_it_passes_over() -> None:
    """A reader of version 0.1 knows no leader in VERDICTS: that line alone is lost to it, as any newer one is to us."""
    as_of_0_1 = msgspec.json.Decoder(Verdict | Inconclusive | Late)

    with pytest.raises(UnknownKind):
        decode(encode(Leader(epoch=1, leader="v-1")), as_of_0_1)
