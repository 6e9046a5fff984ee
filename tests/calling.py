"""Calls the command `ambient` in this process: the same lines of code as in one of its own, without a second of imports for each call."""

import asyncio
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Any
from unittest.mock import patch

import msgspec

from ambient.cli.answers import ANSWERS, FAILED
from ambient.cli.app import called
from ambient.cli.output import complete

__all__ = ["ambient", "documented"]


async def ambient(*arguments: str, stdin: bytes = b"", **environment: str) -> CompletedProcess[bytes]:
    """Exit code, stdout and stderr of this command line; one at a time."""
    with _streams(stdin) as (out, err), patch.dict(os.environ, environment):
        code = await asyncio.wait_for(asyncio.to_thread(called, arguments), 60)
        for stream in (out, err):
            stream.flush()
        return CompletedProcess(arguments, code, out.buffer.getvalue(), err.buffer.getvalue())  # type: ignore[attr-defined]


@contextlib.contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    streams = [io.TextIOWrapper(io.BytesIO(content), "utf-8") for content in (stdin, b"", b"")]
    with (
        patch.object(sys, "stdin", streams[0]),
        contextlib.redirect_stdout(streams[1]),
        contextlib.redirect_stderr(streams[2]),
    ):
        yield streams[1], streams[2]


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
