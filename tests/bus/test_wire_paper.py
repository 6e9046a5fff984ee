"""docs/wire.md tells the truth: its examples decode, its arithmetic adds up, its program runs."""

import asyncio
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus import merkle, wire
from bus.asyncapi import CHANNELS
from bus.blobs import CHUNK_BYTES, Blobs
from bus.connection import Bus
from bus.messages import INLINE_LIMIT_BYTES, TaskSpec, Verdict
from bus.schemas import DOCS, structs
from bus.signing import Identity, open_signed, pae
from bus.wire import decode, decoder, encode

PAPER = (DOCS / "wire.md").read_text()
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", PAPER, re.MULTILINE | re.DOTALL)


def block(tag: str) -> str:
    found = re.findall(rf"^```{tag}\n(.*?)^```", PAPER, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_is_the_message_that_it_is_called(name: str, text: str) -> None:
    """It decodes, and every field in it means something: nothing is dropped on the way."""
    message = decode(text.encode(), decoder(structs()[name]))

    assert msgspec.json.decode(encode(message)).keys() <= msgspec.json.decode(text).keys()
    assert set(msgspec.json.decode(text)) <= {*structs()[name].__struct_encode_fields__, "kind"}


def test_every_message_has_an_example() -> None:
    """And no block of JSON goes untested for want of a name."""
    assert {name for name, _ in EXAMPLES} == structs().keys()
    assert len(EXAMPLES) == PAPER.count("```json")


def test_every_subject_is_in_the_paper() -> None:
    """Also each question to a service."""
    for channel in CHANNELS:
        subject = channel.address.removeprefix("avcp.CLUSTER.").replace("{", "<").replace("}", ">")
        service = re.fullmatch(r"svc\.(\w+)\.(\w+)", subject)
        if service:
            assert f"| {service[1]} | `{service[2]}` |" in PAPER
        else:
            assert f"`{subject.replace('<task>', '<id>')}`" in PAPER


def test_the_limits_in_the_paper_are_those_of_the_code() -> None:
    """Numbers are the first thing to go stale."""
    assert f"| lines in a body | {wire.MAX_LINES:,} |" in PAPER
    assert f"| bytes in a body | {wire.MAX_MESSAGE_BYTES:,} " in PAPER
    assert f"| input or output inside a message | {INLINE_LIMIT_BYTES:,} bytes" in PAPER
    assert f"chunks of {CHUNK_BYTES:,} bytes" in PAPER


def test_the_worked_signature_can_be_computed_again() -> None:
    """Byte for byte: leaves, root, encoding, signature, and the body they make."""
    rows = [line.split(maxsplit=1) for line in block("worked").splitlines()]
    worked: dict[str, Any] = dict(rows)
    members = [value.encode() for name, value in rows if name == "member"]
    leaves = [value for name, value in rows if name == "leaf"]
    signer = Identity.from_seed(bytes.fromhex(worked["seed"]))
    root = merkle.root(members)

    assert signer.key == worked["key"]
    assert [merkle.leaf_hash(member).hex() for member in members] == leaves
    pair = hashlib.sha256(b"\x01" + bytes.fromhex(leaves[0]) + bytes.fromhex(leaves[1]))
    assert pair.hexdigest() == worked["node01"]
    assert root.hex() == worked["root"]
    assert pae(worked["type"], root).hex() == worked["pae"]
    assert signer.sign(worked["type"], root).hex() == worked["sig"]
    assert signer.seal(worked["type"], members) == block("body").strip().encode()
    assert open_signed(block("body").encode(), worked["type"]) == (signer.key, members)


def test_one_member_is_shown_with_the_path_that_the_paper_names() -> None:
    """Leaf 0, then leaf 2."""
    members = [b'{"a":1}', b'{"b":2}', b'{"c":3}']

    assert merkle.path(members, 1) == [merkle.leaf_hash(members[0]), merkle.leaf_hash(members[2])]


async def test_the_program_without_our_sdk_runs(
    bus: Bus, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stores its module where we find it, its task is one we accept, and it hears the verdict on the subject it waits at."""
    monkeypatch.chdir(Path(__file__).parents[2])
    names: dict[str, Any] = {"__name__": "walk_through"}
    exec(compile(block("python"), "docs/wire.md", "exec"), names)  # noqa: S102 -- the paper's own program
    stored: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def on_submission(message: Any) -> None:
        stored.set_result(message.data)

    await bus.subscribe(bus.subjects.submit("me"), on_submission)
    await bus.round_trip_ms()
    program = asyncio.create_task(names["main"](bus.url, cluster))
    spec = decode(await asyncio.wait_for(stored, 20), decoder(TaskSpec))
    verdict = Verdict(task=f"me.{spec.id}", status="verified", output=b"HI")
    await bus.publish(bus.subjects.done(verdict.task), encode(verdict))

    assert (await asyncio.wait_for(program, 20))["status"] == "verified"
    assert await Blobs(bus, "other").get(spec.work.module.removeprefix("sha256:"))
