#!/usr/bin/env python3
"""Write docs/cli.md and the manual page docs/ambient.1 from the command itself; `--check` compares instead.

What `--help` prints, the exit codes (`ambient.cli.exits`) and the fields of `--json` (`ambient.cli.answers`) are the only sources.
The check also says which commands README.md names that do not exist.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.docs.markdown import generate_markdown_docs

from ambient.cli.answers import ANSWERS, FAILED, PROCESSES, fields
from ambient.cli.app import app
from ambient.cli.exits import NODE, explained

ROOT = Path(__file__).resolve().parent.parent
PAPER, PAGE, README = ROOT / "docs/cli.md", ROOT / "docs/ambient.1", ROOT / "README.md"

INTRODUCTION = """\
# The command line

Made by `tools/manual.py` from the command itself: `make check` compares, `make manual` writes anew. The same as a manual page: [ambient.1](ambient.1)
(`man docs/ambient.1`). `ambient --install-completion` teaches bash, zsh and fish the commands and their options.

Results go to standard output, everything else to standard error. Colours, bars and views that redraw themselves are for terminals only; `NO_COLOR`
is honoured, and in a pipe tables are not cut. `NATS_URL`, `AMBIENT_CLUSTER`, `AMBIENT_CLIENT`, `AMBIENT_DATA` and a settings file
(`ambient.toml`, or the one that `AMBIENT_CONFIG` names, with `nats`, `cluster`, `client`) hold where an option is not given.
"""
STABLE = f"""\
With `--json` a command prints one document, on one line in a pipe; those that go on until they are stopped print a line each time. Every field is
there, also at its default. Within a minor version no field goes away or changes its type or meaning; there may be more of them.
Bytes are base64; names end in their unit where they have one. {", ".join(f"`{name}`" for name in PROCESSES)} are processes and print nothing.

Whatever ends in an error prints `Failed` instead, as its last line: there is none where the command answered, whatever the exit code.
"""


def commands() -> str:
    """What `--help` says of every command, as cyclopts writes it, without its title, table of contents and options that all have."""
    text = generate_markdown_docs(app, generate_toc=False)
    # The first section is the completion's, whose options are the shell's business.
    return "## " + text.split("\n## ", 2)[2]


def exits() -> str:
    """The table of exit codes."""
    ours = "\n".join(f"| {code} | {meant} |" for code, meant in explained())
    node = "\n".join(f"| {code} | {meant} |" for code, meant in NODE.items())
    return f"| code | meaning |\n|---|---|\n{ours}\n\n`ambient node`, the process, ends with codes of its own:\n\n| code | meaning |\n|---|---|\n{node}\n"


def answers() -> str:
    """What `--json` prints, by command, then every struct once."""
    lines = ["| command | prints | type |", "|---|---|---|"]
    for command, answer in ANSWERS.items():
        named = " or ".join(map(_named, answer.types))
        lines.append(
            f"| `{command}` | {answer.says}{' A line each look.' if answer.a_line_each else ''} | {named} |"
        )
    structs = fields(FAILED, *(kind for answer in ANSWERS.values() for kind in answer.types))
    tables = [
        f"### {name}\n\n| field | type | meaning |\n|---|---|---|\n"
        + "\n".join(f"| `{row.name}` | {row.kind} | {row.means} |" for row in rows)
        for name, rows in sorted(structs.items())
    ]
    return "\n".join(lines) + "\n\n" + "\n\n".join(tables) + "\n"


def _named(kind: Any) -> str:
    """A struct, or a list of them."""
    members: tuple[type, ...] = getattr(kind, "__args__", ())
    return f"list of {members[0].__name__}" if members else str(kind.__name__)


def paper() -> str:
    """The whole of docs/cli.md."""
    parts = [
        INTRODUCTION,
        "## Exit codes\n\n" + exits(),
        commands(),
        "## What `--json` prints\n\n" + STABLE + "\n" + answers(),
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def page() -> str:
    """The manual page: the same words in roff (man(7))."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    head = f'.\\" Made by tools/manual.py.\n.TH AMBIENT 1 "" "ambient-vcp {version}" "Ambient VCP"\n.SH NAME\nambient \\- {_plain(app.help)}\n'
    codes = "".join(f".TP\n.B {code}\n{_roff(meant)}\n" for code, meant in explained())
    node = "".join(f".TP\n.B {code}\n{_roff(meant)}\n" for code, meant in NODE.items())
    return (
        head
        + ".SH SYNOPSIS\n.B ambient\n.I COMMAND\n[\\fIOPTION\\fR]...\n.SH COMMANDS\n"
        + _translated(commands())
        + f".SH EXIT STATUS\n{codes}.SS Of the process ambient node\n{node}"
        + ".SH ENVIRONMENT\nNATS_URL, AMBIENT_CLUSTER, AMBIENT_CLIENT, AMBIENT_DATA, AMBIENT_CONFIG, NO_COLOR.\n"
    )


def _plain(text: str) -> str:
    return text.split("\n", maxsplit=1)[0].rstrip(".")


def _roff(text: str) -> str:
    """A line of Markdown as a line of roff: code in bold, backslashes and leading dots escaped."""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text).replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"\*\*([^*]+)\*\*|\*(\[[^*]+\])\*", lambda m: m[1] or m[2], text)
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", text)
    return "\\&" + text if text.startswith((".", "'")) else text


def _translated(markdown: str) -> str:
    """The Markdown that cyclopts writes: headings, fenced usage, titles in bold, lists of options, paragraphs."""
    lines, fenced = [], False
    for line in markdown.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
            lines.append(".nf" if fenced else ".fi")
        elif fenced:
            lines.append(_roff(line))
        elif match := re.match(r"#+ (.*)", line):
            lines += [f".SS {_roff(match[1])}"]
        elif match := re.match(r"\*\*(.*)\*\*:$", line):
            lines += [".PP", f"{match[1]}:"]
        elif match := re.match(r"\* (`[^:]*`): ?(.*)", line):
            lines += [".TP", _roff(match[1]), _roff(match[2]) or "\\&"]
        elif line:
            lines += [".PP", _roff(line)]
    return "\n".join(lines) + "\n"


def unknown(text: str) -> list[str]:
    """What a paper calls a command of ours (`ambient WORD` in code) and is none."""
    code = re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
    named = {
        word
        for part in code
        for word in re.findall(r"(?:^|[;|`$ ])ambient ([a-z][a-z-]*)", part, re.MULTILINE)
    }
    return sorted(named - _names(app))


def _names(of: App) -> set[str]:
    return {name for name in of if not name.startswith("-")}


def main(arguments: list[str]) -> int:
    """Write, or `--check`."""
    made = {PAPER: paper(), PAGE: page()}
    if arguments == ["--check"]:
        stale = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
        wrong = {
            path.name: names
            for path in (README, *sorted((ROOT / "docs").glob("*.md")))
            if (names := unknown(path.read_text()))
        }
        for name in stale:
            print(f"docs/{name} does not say what the command says: run `make manual`")
        for name, names in wrong.items():
            print(f"{name} names commands that do not exist: {', '.join(names)}")
        return 1 if stale or wrong else 0
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
