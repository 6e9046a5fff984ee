"""How commands speak: results to stdout, everything else to stderr, colours only on terminals (rich honours NO_COLOR).

Text is laid out for the width of the terminal, and not at all for a pipe: a script that cuts columns gets whole words.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import structlog
from rich.console import Console
from rich.table import Table

__all__ = ["PLAIN_RENDERER", "complete", "err", "out", "print_bytes", "print_json", "table"]

_PIPE_WIDTH = 1000

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_RENDERER = structlog.dev.ConsoleRenderer(
    colors=err.is_terminal and not err.no_color, exception_formatter=structlog.dev.plain_traceback
)
"""Log lines for people. Tracebacks are plain: rich ones print local variables, and keys are local variables somewhere."""


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal, on one line for a pipe. Fields at their default are there, too."""
    encoded = msgspec.json.encode(complete(value))
    sys.stdout.write((msgspec.json.format(encoded, indent=2) if out.is_terminal else encoded).decode() + "\n")
    sys.stdout.flush()  # who reads a pipe of `watch` or `up` waits for this line, not for a full buffer


def complete(value: Any) -> Any:
    """Structs as dicts with all their fields: the wire leaves defaults out, a script should not have to know them."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {} if config.tag is None else {config.tag_field: config.tag}
        fields = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return tag | {name: complete(getattr(value, field)) for name, field in fields}
    if isinstance(value, dict):
        return {key: complete(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [complete(item) for item in value]
    return value


def print_bytes(data: bytes) -> None:
    """Exactly these bytes, nothing added; on a terminal, what follows them begins on a line of its own."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    if out.is_terminal and data and not data.endswith(b"\n"):
        err.print()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, gives_way: str = "") -> Table:
    """A plain table; columns whose name ends in a space are aligned right, the one that `gives_way` is folded if it must."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        drawn.add_column(
            column.strip(),
            justify="right" if column.endswith(" ") else "left",
            no_wrap=column != gives_way,
            overflow="fold",
        )
    for row in rows:
        drawn.add_row(*row)
    return drawn
