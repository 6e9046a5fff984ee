"""The ledger on the command line, against a real anchor: an operator pays in, a client sees it, a stranger checks the proof."""

import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ambient.cli.app import app
from ambient.cli.exits import Exit
from bus.connection import Bus
from bus.errors import Malformed
from bus.signing import Identity
from tests.anchor.scripted import anchoring, health, judge
from tests.anchor.test_ledger import balance
from tests.documented import documented

type Run = Callable[..., Awaitable[tuple[Exit, str, str]]]


@pytest.fixture
def ambient(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command in this cluster as the client `me`: exit code, stdout and stderr."""
    for name, value in (
        ("NATS_URL", bus.url),
        ("AMBIENT_CLUSTER", bus.subjects.cluster),
        ("AMBIENT_CLIENT", "me"),
        ("XDG_DATA_HOME", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)

    async def run(*arguments: str) -> tuple[Exit, str, str]:
        capsys.readouterr()
        command, bound, _ = app.parse_args(arguments, exit_on_error=False)
        answer = command(*bound.args, **bound.kwargs)
        code = await answer if inspect.isawaitable(answer) else answer
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


async def test_from_the_operators_order_to_a_strangers_check(
    bus: Bus, cluster: str, tmp_path: Path, ambient: Run
) -> None:
    """credit, balance --proof, verify; a changed file is refused by name of the link; what cannot be ordered says why."""
    key, shown, month = tmp_path / "operator.key", tmp_path / "balance.json", tmp_path / "energy.json"
    earned, took = tmp_path / "earned.receipt", tmp_path / "took.receipt"
    operators = (Identity.load(key).key,)
    async with anchoring(bus.url, cluster, tmp_path / "a", operators=operators, ledger_every_s=0.02):
        await health(bus)
        paid_in = await ambient("credit", "me", "1000", "--key", str(key), "--json")
        said = {"agree": ("n1",), "dissent": (), "energy_j": 2.5, "energy_method": "measured:rapl"}
        await judge(bus, "me.t1", reward=100, **said)
        await balance(bus, "client/me", at=900)
        held = await ambient("balance", "--proof", str(shown))
        energy = await ambient("energy", "node/n1", "--proof", str(month))
        told = await ambient("balance", "node/n1", "--receipt", str(earned), "--wait", "--json")
        told_month = await ambient("energy", "node/n1", "--receipt", str(took), "--wait", "--json")
        refused = await ambient("burn", "n1", "101", "--to", "nowhere", "--key", str(key))
        burned = await ambient("burn", "n1", "100", "--to", "nowhere", "--key", str(key), "--json")
    changed = tmp_path / "changed.json"
    changed.write_bytes(shown.read_bytes().replace(b'given\\":100', b'given\\":101'))
    checked = await ambient("verify", str(shown), "--json")
    [proven] = documented("verify", checked[1])
    committed = await ambient("verify", str(shown), "--commitment", proven["commitment"])
    of_another = await ambient("verify", str(shown), "--commitment", "00" * 32)
    of_energy = await ambient("verify", str(month))
    broken = await ambient("verify", str(changed), "--json")
    of_receipt = await ambient("verify", str(earned), "--account", "node/n1", "--json")
    of_month = await ambient("verify", str(took))
    not_final = await ambient("verify", str(earned), "--final")

    assert paid_in[0] == Exit.OK, paid_in
    assert "900 msat client/me" in held[1]
    assert "2.500 J measured:rapl" in energy[1]
    assert (refused[0], "at most the 100 msat" in refused[2]) == (Exit.REFUSED, True)
    assert documented("burn", burned[1])[0]["reply"]["ok"]
    assert documented("credit", paid_in[1])[0]["order"]["amount"] == 1000
    assert proven["leaf"] == {"account": "client/me", "received": 1000, "given": 100}
    assert (committed[0], "Not proven" in committed[1]) == (Exit.OK, False)
    assert "2.500000 J measured:rapl" in of_energy[1]
    assert "Not proven" in of_energy[1]
    assert (of_another[0], "state: " in of_another[2]) == (Exit.NOT_VERIFIED, True)
    assert f"ambient verify {earned}" in told[2]
    assert documented("balance", told[1])[0]["receipt"]["tree"] == "accounts"
    assert documented("energy", told_month[1])[0]["receipt"]["tree"] == "energy"
    assert documented("verify", of_receipt[1])[0]["leaf"] == {
        "account": "node/n1",
        "received": 100,
        "given": 0,
    }
    assert "node/n1 2026" in of_month[1].replace("\n", " ")
    assert "no Bitcoin block is shown" in of_month[1].replace("\n", " ")
    assert (not_final[0], "confirmations: " in not_final[2]) == (Exit.NOT_VERIFIED, True)
    with pytest.raises(Malformed, match="--extract"):
        await ambient("verify", str(earned), "--extract", str(tmp_path))
    assert (broken[0], "root: " in broken[2]) == (Exit.NOT_VERIFIED, True)
    assert documented("verify", broken[1])[0]["link"] == "root"


async def test_an_operator_without_a_key_is_told_so(ambient: Run) -> None:
    """Before anything is asked of the cluster; as is a commitment that is none."""
    with pytest.raises(Malformed, match=r"operator\.key does not exist"):
        await ambient("credit", "me", "5")
