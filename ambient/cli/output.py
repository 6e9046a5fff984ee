"""How commands speak: results to stdout, everything else to stderr, colours only on terminals (rich honours NO_COLOR)."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import structlog
from rich.console import Console
from rich.table import Table

__all__ = ["PLAIN_RENDERER", "err", "out", "print_bytes", "print_json", "table"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_RENDERER = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
"""Log lines for people. Tracebacks are plain: rich ones print local variables, and keys are local variables somewhere."""


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal, on one line for a pipe."""
    encoded = msgspec.json.encode(value)
    sys.stdout.write((msgspec.json.format(encoded, indent=2) if out.is_terminal else encoded).decode() + "\n")


def print_bytes(data: bytes) -> None:
    """Exactly these bytes, nothing added."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table; columns whose name ends in a space are aligned right."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column.strip(), justify="right" if column.endswith(" ") else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    return drawn
