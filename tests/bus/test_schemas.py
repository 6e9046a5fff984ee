"""The published contract: schemas and AsyncAPI document are what the types say, and say what the decoders read."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from bus.asyncapi import CHANNELS
from bus.schemas import DOCS, files, main, message_types, structs
from bus.subjects import Subjects

GOLDEN = Path(__file__).parent / "golden"
SCHEMAS = {path.stem: msgspec.json.decode(path.read_bytes()) for path in (DOCS / "schemas").glob("*.json")}
ASYNCAPI: dict[str, Any] = msgspec.json.decode((DOCS / "asyncapi.json").read_bytes())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def goldens() -> list[Path]:
    return [path for path in sorted(GOLDEN.glob("*.json")) if path.name.split(".")[0] in message_types()]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    """What a reference of the AsyncAPI document leads to; raises KeyError or FileNotFoundError where nothing is."""
    file, _, pointer = reference.partition("#")
    node = msgspec.json.decode((DOCS / file).read_bytes()) if file else ASYNCAPI
    for step in filter(None, pointer.split("/")):
        node = node[step]
    return node


def test_what_is_committed_is_what_the_types_say() -> None:
    """A changed type changes its schema in the same commit."""
    assert main(["--check"]) == 0


def test_check_names_each_file_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed, one missing, one too many: all three are named, and writing again mends them."""
    assert main([], tmp_path) == 0
    (tmp_path / "schemas/TaskSpec.json").write_text("{}")
    (tmp_path / "asyncapi.json").unlink()
    (tmp_path / "schemas/Gone.json").write_text("{}")

    assert main(["--check"], tmp_path) == 1
    named = re.findall(r"docs/(\S+) ", capsys.readouterr().err)
    assert named == ["asyncapi.json", "schemas/Gone.json", "schemas/TaskSpec.json"]
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0


def test_a_wrong_argument_is_answered_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """`--chek` does not overwrite anything."""
    assert main(["--chek"], Path("/nonexistent")) == 2
    assert "usage" in capsys.readouterr().err


def test_the_output_is_the_same_in_another_process() -> None:
    """No order of a set or a dictionary shows in it."""
    program = "import bus.schemas as s, hashlib; print(hashlib.sha256(repr(s.files()).encode()).hexdigest())"
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            cwd=DOCS.parent,
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


@pytest.mark.parametrize("name", sorted(message_types()))
def test_every_message_has_a_valid_schema_that_explains_itself(name: str) -> None:
    """Complete in one file, with title and description, and every reference in it leads somewhere."""
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)

    assert schema["title"] == name
    assert len(schema["description"]) > 10
    assert {ref.removeprefix("#/$defs/") for ref in references(schema)} <= set(schema.get("$defs", {}))
    assert "\n " not in schema["description"]


@pytest.mark.parametrize("path", goldens(), ids=lambda path: path.stem)
def test_every_golden_example_fits_its_schema(path: Path) -> None:
    """What our programs write, a stranger's validator accepts."""
    validator(path.name.split(".")[0]).validate(msgspec.json.decode(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        {"verfy": {}},
        {"id": "a.b"},
        {"priority": 10},
        {"work": {"kind": "docker"}},
        {"limits": {"memory_mb": 5000}},
        {"verify": {"kind": "quorum", "agree": 32, "of": 32}},
        {"deadline": "2026-12-24T18:00:00"},
    ],
    ids=str,
)
def test_the_schema_refuses_what_the_decoder_refuses(change: dict[str, Any]) -> None:
    """The limits are in the schema, so that a client finds its mistake before it submits."""
    good = msgspec.json.decode((GOLDEN / "TaskSpec.full.json").read_bytes())
    line = msgspec.json.encode({**good, **change})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=structs()["TaskSpec"])

    if "deadline" not in change:  # `format` is an annotation to validators that carry no date parser
        assert not validator("TaskSpec").is_valid({**good, **change})


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    """Into the document itself, or to a schema beside it."""
    for reference in references(ASYNCAPI):
        assert resolved(reference)


def test_the_asyncapi_document_has_the_shape_of_version_3() -> None:
    """What the specification requires of each object is there."""
    assert ASYNCAPI["asyncapi"] == "3.0.0"
    assert {"title", "version", "description"} <= ASYNCAPI["info"].keys()
    assert {"host", "protocol"} <= ASYNCAPI["servers"]["local"].keys()
    for channel in ASYNCAPI["channels"].values():
        placeholders = set(re.findall(r"\{(\w+)\}", channel["address"] or ""))
        assert placeholders == channel.get("parameters", {}).keys()
        assert channel["messages"]
    for operation in ASYNCAPI["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolved(operation["channel"]["$ref"])
        own = {f"{operation['channel']['$ref']}/messages/{name}" for name in channel["messages"]}
        assert {message["$ref"] for message in operation["messages"]} <= own
    for message in ASYNCAPI["components"]["messages"].values():
        assert {"name", "title", "summary", "contentType"} <= message.keys()


def test_every_subject_and_every_message_is_in_the_asyncapi_document() -> None:
    """Nothing travels that the document does not know, and each subject has a sender and a receiver."""
    carried = {
        name for channel in CHANNELS for name in (*channel.messages, *channel.replies, *channel.packed)
    }
    home = Subjects("CLUSTER")
    addresses = {channel.address for channel in CHANNELS}

    assert message_types().keys() - {"Envelope"} == carried - {"BlobChunk", "Nothing"}
    assert {home.submit("{client}"), home.done("{client}"), home.assign("{node}")} <= addresses
    assert len(addresses) == len(CHANNELS)
    assert all(channel.sends and channel.receives for channel in CHANNELS)


def test_files_are_json_with_a_final_line_break() -> None:
    """Editors and `git diff` agree with them."""
    for name, content in files().items():
        msgspec.json.decode(content)
        assert content.endswith(b"}\n"), name
