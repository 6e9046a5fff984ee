"""`python -m metrics.paper` writes the catalogue into docs/metrics.md, with `--check` it compares: what people read is what is served."""

import re
import sys
from pathlib import Path

from metrics.catalogue import SECTIONS
from metrics.metric import Metric

__all__ = ["catalogue", "main"]

PAPER = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
_PART = re.compile(r"(<!-- catalogue: [^>]*-->\n).*(<!-- end of catalogue -->)", re.DOTALL)


def catalogue() -> str:
    """The tables of all metrics, a heading for each section."""
    return "\n".join(f"### {title}\n\n{_table(rows)}" for title, rows in SECTIONS.items())


def _table(rows: tuple[Metric, ...]) -> str:
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in rows:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        bounds = f" Bounds: {', '.join(f'{bound:g}' for bound in metric.bounds)}." if metric.bounds else ""
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.says}{bounds} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`; returns an exit code."""
    text = PAPER.read_text()
    wanted = _PART.sub(lambda part: part[1] + "\n" + catalogue() + "\n" + part[2], text)
    if arguments == ["--check"]:
        if wanted != text:
            sys.stderr.write(
                "docs/metrics.md is not the catalogue: run `.venv/bin/python -m metrics.paper`\n"
            )
            return 1
        return 0
    if arguments:
        sys.stderr.write("usage: python -m metrics.paper [--check]\n")
        return 2
    PAPER.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
