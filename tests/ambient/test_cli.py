"""The command line without a cluster: usage, help, settings and exit codes."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ambient.cli.app import app
from ambient.cli.exits import Exit
from bus.server import free_port


def ambient(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ambient", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **environment},
    )


def test_no_server_is_said_with_its_address_and_cure() -> None:
    """Without a server every question ends with exit code 4 and says how to start one."""
    url = f"nats://127.0.0.1:{free_port()}"
    done = ambient("nodes", NATS_URL=url)

    assert done.returncode == Exit.UNAVAILABLE
    assert url in done.stderr
    assert "ambient up" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("nonsense",), ("run", "x.wasm", "--priority", "high"), ("coordinator", "--strategy", "best")],
)
def test_usage_errors_exit_2_and_say_what_is_wrong(arguments: tuple[str, ...]) -> None:
    """A command line that is not right is explained on stderr, nothing goes to stdout."""
    done = ambient(*arguments)

    assert done.returncode == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr


def test_doctor_without_a_server_finds_just_that() -> None:
    """The doctor's first finding is the one that matters, with its cure."""
    done = ambient("doctor", NATS_URL=f"nats://127.0.0.1:{free_port()}")

    assert done.returncode == Exit.NOT_VERIFIED
    assert "✗ server" in done.stdout
    assert "ambient up" in done.stdout


def test_help_names_every_exit_code() -> None:
    """Scripts can rely on the codes because the help states them."""
    text = " ".join(ambient("--help").stdout.split())

    assert all(f"{code.value} {code.name.lower().replace(chr(95), chr(32))}" in text for code in Exit)


def test_every_command_takes_json() -> None:
    """`--json` is on every command."""
    lacking = []
    for name in (command for command in app if not command.startswith("-")):
        text = io.StringIO()
        app.help_print([name], console=Console(file=text, width=100))
        if "--json" not in text.getvalue():
            lacking.append(name)

    assert lacking == []


def test_a_module_that_is_no_file_is_a_usage_error(tmp_path: Path) -> None:
    """`check` of a missing file names the file."""
    done = ambient("check", str(tmp_path / "none.wasm"))

    assert done.returncode == Exit.USAGE
    assert "none.wasm" in done.stderr


def test_check_says_what_a_module_costs_and_why_one_is_unfit() -> None:
    """A fit module runs twice the same, by name and figure; an unfit one exits 1 naming the import."""
    guests = Path(__file__).parents[2] / "examples" / "guests"
    fit = ambient("check", str(guests / "primes.wasm"), "1000", "--entry", "count_primes", "--json")
    unfit = ambient("check", str(guests / "misbehaving" / "net.wasm"))
    report = json.loads(fit.stdout)

    assert (fit.returncode, report["fit"], report["differs"]) == (0, True, [])
    assert report["runs"][0]["fuel"] == report["runs"][1]["fuel"] > 0
    assert unfit.returncode == Exit.NOT_VERIFIED
    assert "sock_accept" in unfit.stdout
