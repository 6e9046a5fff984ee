"""How commands speak: results to stdout, everything else to stderr, colours only on terminals (rich honours NO_COLOR)."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

__all__ = ["duration", "err", "out", "print_bytes", "print_json", "size", "table"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_THOUSAND = 1000
_KIB = 1024


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


def duration(ms: float) -> str:
    """Milliseconds for people."""
    if ms < _THOUSAND:
        return f"{ms:.1f} ms"
    seconds = ms / _THOUSAND
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 -- seconds in a minute


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
