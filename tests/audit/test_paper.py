"""docs/audit.md says what the audit says."""

import re
from pathlib import Path

from ambient.audit import PROMISES, Report
from ambient.audit.findings import Leadership, LogSpan, OpenTask, Promise, Signer, Violation

_PAPER = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()


def _section(title: str) -> str:
    return _PAPER.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_paper_lists_every_promise_in_order() -> None:
    """The table of promises is that of the report."""
    assert re.findall(r"^\| `([\w-]+)` \|", _section("What it proves"), re.MULTILINE) == list(PROMISES)


def test_the_paper_names_every_field_of_the_json() -> None:
    """Each field of the report and of what it holds is written down."""
    named = set(re.findall(r"`(\w+)`", _section("JSON")))
    kinds = (Report, Promise, Violation, OpenTask, LogSpan, Signer, Leadership)

    assert {field for kind in kinds for field in kind.__struct_fields__} - named == set()
