"""What a command printed with `--json`, held against its documentation."""

import json
from typing import Any

import msgspec

from ambient.cli.answers import ANSWERS, FAILED
from ambient.cli.output import complete

__all__ = ["documented"]


def documented(command: str, printed: bytes | str) -> list[Any]:
    """The documents that a command printed with `--json`, each of which must be one that docs/cli.md describes, with every field there.

    An answer of several possible types must be exactly one of them. `command` may be `error`.
    """
    types = (FAILED,) if command == "error" else ANSWERS[command].types
    told = [json.loads(line) for line in printed.splitlines()]
    assert told, f"{command} printed nothing"
    for document in told:
        assert [kind for kind in types if _is(document, kind)], (command, document)
    return told


def _is(document: Any, kind: Any) -> bool:
    """Whether it has this type, and neither more nor fewer fields, down to the last struct."""
    try:
        read = msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return False
    return _names(document) == _names(complete(read))


def _names(document: Any) -> Any:
    """The names of all fields, without values."""
    if isinstance(document, dict):
        return {name: _names(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [_names(value) for value in document]
    return None
