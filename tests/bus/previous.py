"""What version 0.1 wrote and how it read: samples and schemas, kept as they were when it was current.

`golden_0_1/wire.jsonl` was recorded on the bus of a cluster of that version; `messages.jsonl` are its golden examples, `schemas.json` its
published schemas, without their descriptions. Nothing here is ever changed: the next version gets a folder of its own.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

__all__ = ["SCHEMAS", "Sample", "examples", "samples", "valid"]

_FOLDER = Path(__file__).parent / "golden_0_1"
SCHEMAS: dict[str, Any] = json.loads((_FOLDER / "schemas.json").read_text())


class Sample(NamedTuple):
    """One message as it was on the bus; `subject` without `avcp.<cluster>.`; `answer` where it was a question."""

    subject: str
    body: bytes
    headers: dict[str, str]
    answer: bytes

    @property
    def is_signed(self) -> bool:
        """Whether its first line is an envelope."""
        return self.body.startswith(b'{"payloadType"')

    @property
    def members(self) -> list[bytes]:
        """Its lines, without the envelope."""
        return self.body.split(b"\n")[self.is_signed :]


def samples(subject: str = "") -> list[Sample]:
    """What was recorded under subjects that begin so."""
    rows = [json.loads(line) for line in (_FOLDER / "wire.jsonl").read_text().splitlines()]
    return [
        Sample(row["subject"], row["body"].encode(), row.get("headers", {}), row.get("answer", "").encode())
        for row in rows
        if row["subject"].startswith(subject)
    ]


def examples() -> list[tuple[str, bytes]]:
    """Its golden examples: the name of the type, and the line."""
    rows = [json.loads(line) for line in (_FOLDER / "messages.jsonl").read_text().splitlines()]
    return [(row["type"], row["line"].encode()) for row in rows]


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], format_checker=Draft202012Validator.FORMAT_CHECKER)


def valid(name: str, line: bytes) -> bool:
    """Whether its decoder of that type would have taken the line; raises with the field where it would not."""
    _validator(name).validate(json.loads(line))
    return True
