"""A receipt is checked where nothing of this project is but the package `anchor.receipt`, and of others nothing but `cryptography`."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from anchor.receipt.account import write_account_receipt
from anchor.receipt.container import write_receipt
from tests.anchor import accounts, receipts

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from importlib.util import find_spec
sys.path[:0] = sys.argv[1:3]
others = "msgspec", "nats", "structlog", "numpy", "bus", "ledger", "folds", "anchor.core", "anchor.bitcoin"
assert not [name for name in others if find_spec(name) is not None], "this environment has more than it should"
from anchor.receipt.__main__ import main
sys.exit(main(sys.argv[3:]))
"""

type Check = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Run the check in an environment of two things: the package in a zip, and what `cryptography` consists of."""
    folder = tmp_path_factory.mktemp("alone")
    package, site = folder / "receipt.zip", folder / "site"
    with zipfile.ZipFile(package, "w") as packed:
        packed.writestr("anchor/__init__.py", "")
        for path in sorted((ROOT / "anchor" / "receipt").rglob("*.py")):
            packed.write(path, path.relative_to(ROOT))
    site.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend", "pycparser"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        path = Path(found.origin)
        there = path.parent if path.name == "__init__.py" else path
        (site / there.name).symlink_to(there)

    def check(*arguments: object) -> subprocess.CompletedProcess[str]:
        # -I and -S: neither this folder nor anything that is installed beside Python itself.
        command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(package), str(site), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)

    return check


def test_both_kinds_of_receipt_are_checked_alone(alone: Check, tmp_path: Path) -> None:
    """A verdict's and an account's, down to a block; and what is demanded is asked for."""
    verdict, account = tmp_path / "verdict.receipt", tmp_path / "account.receipt"
    verdict.write_bytes(write_receipt(receipts.made()))
    account.write_bytes(write_account_receipt(accounts.made()))
    of_verdict = alone(verdict, "--task", "me.t1", "--final", "--evidence", "--log-key", receipts.LOG_KEY)
    of_account = alone(account, "--account", "node/node-1", "--final", "--network", "regtest")
    of_another = alone(account, "--account", "node/node-2")

    assert (of_verdict.returncode, of_verdict.stderr) == (0, "")
    assert "proven    Task me.t1 ended as verified" in of_verdict.stdout
    assert (of_account.returncode, of_account.stderr) == (0, "")
    assert "proven    node/node-1 holds 100 msat" in of_account.stdout
    assert (of_another.returncode, of_another.stderr.startswith("broken: account:")) == (1, True)


def test_a_broken_one_is_refused_alone(alone: Check, tmp_path: Path) -> None:
    """With the link that does not hold; and what is no file is no receipt."""
    receipt = accounts.made()
    path = tmp_path / "account.receipt"
    path.write_bytes(write_account_receipt(receipt._replace(steps=())))
    broken, missing = alone(path), alone(tmp_path / "nothing")

    assert (broken.returncode, broken.stderr.startswith("broken: root:")) == (1, True)
    assert (missing.returncode, missing.stderr.startswith("error: ")) == (2, True)
