"""Golden examples: a message that is written today can be read by what was written yesterday, and the other way round."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.messages import Assigned, Result, Verdict
from bus.schemas import structs
from bus.signing import RESULTS, VERDICTS, Identity, open_signed
from bus.wire import decode, decoder, encode

GOLDEN = Path(__file__).parent / "golden"
SIGNER = Identity.from_seed(bytes(range(32)))


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes().removesuffix(b"\n")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_golden_message_is_read_and_written_again_byte_for_byte(path: Path) -> None:
    """A changed name, tag, order or default shows here."""
    kind = structs()[path.name.split(".")[0]]
    line = golden(path.name)

    assert encode(decode(line, decoder(kind))) == line


def test_every_type_has_a_golden_example() -> None:
    """A new message comes with one."""
    assert {path.name.split(".")[0] for path in GOLDEN.glob("*.json")} == structs().keys()


@pytest.mark.parametrize(
    ("name", "payload_type", "kind"),
    [("results.jsonl", RESULTS, Result), ("verdicts.jsonl", VERDICTS, msgspec.Raw)],
)
def test_a_golden_batch_is_sealed_the_same_today(name: str, payload_type: str, kind: type) -> None:
    """Ed25519 is deterministic: the same members and key give the same body."""
    body = golden(name)
    key, members = open_signed(body, payload_type)

    assert key == SIGNER.key
    assert SIGNER.seal(payload_type, members) == body
    for member in members:
        decode(member, decoder(kind))


def test_the_examples_are_one_story() -> None:
    """The digests in assignment, result and verdict are those of the task that they belong to."""
    spec = hashlib.sha256(golden("TaskSpec.json")).hexdigest()
    read: list[Any] = [
        decode(golden(f"{kind.__name__}.json"), decoder(kind)) for kind in (Assigned, Result, Verdict)
    ]

    assert {message.spec for message in read} == {spec}
    assert {message.task for message in read} == {"me.t1"}
