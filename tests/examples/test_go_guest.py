"""The Go guest, built where there is Go, sums like Python's decimal module."""

import csv
import io
import json
import shutil
from decimal import Decimal

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.guests import build
from examples.guests.recipes import RECIPES

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="there is no go command on PATH")

RECIPE = next(recipe for recipe in RECIPES if recipe.name == "csvsum")
GROUPS = st.text(alphabet='abcé," <&', min_size=1, max_size=4)
DECIMALS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)


@pytest.fixture(scope="module")
def csvsum(plain_engine, run_compiled):
    module = wasmtime.Module(plain_engine, build.build_guest(RECIPE))
    yield lambda text, *arguments: run_compiled(module, text.encode(), arguments)
    module.close()


def table(rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["region", "note", "amount"])
    writer.writerows([group, "x", str(amount)] for group, amount in rows)
    return text.getvalue()


@settings(max_examples=15, deadline=None)
@given(rows=st.lists(st.tuples(GROUPS, DECIMALS), max_size=20))
def test_groups_and_sums_are_exact(csvsum, rows):
    """Rows, exact decimal sums, and groups in the order of their UTF-8 bytes."""
    sums: dict[str, list[Decimal]] = {}
    for group, amount in rows:
        sums.setdefault(group, []).append(amount)
    expected = [
        {"group": group, "rows": len(sums[group]), "sum": f"{abs(total) if total == 0 else total:.2f}"}
        for group in sorted(sums, key=str.encode)
        for total in [sum(sums[group], Decimal(0))]
    ]
    outcome = csvsum(table(rows), "region", "amount")

    assert json.loads(outcome.stdout) == expected
    assert outcome.exit_status == 0


@pytest.mark.parametrize(
    ("text", "arguments", "status", "reason"),
    [
        ("region,amount\na,1\n", (), 2, b"usage"),
        ("region,amount\na,1\n", ("region", "price"), 1, b"price"),
        ("region,amount\na,1\nb,1e3\n", ("region", "amount"), 1, b"line 3"),
        ("region,amount\na,1,2\n", ("region", "amount"), 1, b"wrong number of fields"),
        ("", ("region", "amount"), 1, b"header"),
    ],
)
def test_bad_input_is_refused_with_a_reason(csvsum, text, arguments, status, reason):
    """Nothing on stdout, exit status 2 for arguments and 1 for the table."""
    outcome = csvsum(text, *arguments)

    assert (outcome.stdout, outcome.exit_status) == (b"", status)
    assert reason in outcome.stderr


def test_the_go_build_is_the_same_in_another_folder(tmp_path):
    """Neither folders nor times reach the module."""
    shutil.copytree(build.HERE / "csvsum", tmp_path / "csvsum")

    assert build.build_guest(RECIPE, tmp_path) == build.build_guest(RECIPE)
