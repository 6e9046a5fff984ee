"""The ledger in a real anchor: orders in, verdicts paid, states sealed, balances proven; over restarts and take-overs."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from anchor.errors import SettingsRefused
from anchor.settings import AnchorSettings
from bus.connection import Bus
from bus.errors import BusUnavailable, Malformed
from bus.messages import (
    BalanceReply,
    BalanceRequest,
    Burn,
    Credit,
    EnergyReply,
    EnergyRequest,
    LedgerState,
    Ordered,
    OrderReply,
)
from bus.signing import Identity
from folds.store import manifests_of
from ledger.orders import sign
from ledger.proof import check
from tests.anchor.scripted import WAIT_S, anchored, anchoring, health, judge

OPERATOR = Identity.from_seed(bytes([5]) * 32)
QUICK = {"operators": (OPERATOR.key,), "ledger_every_s": 0.02}


async def order(bus: Bus, ordered: Ordered) -> OrderReply:
    """What the anchor says to it."""
    await health(bus)
    subject = bus.subjects.service("anchor", "order")
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await bus.request(subject, ordered, OrderReply)
            except BusUnavailable:
                await asyncio.sleep(0.02)


def credit(bus: Bus, amount: int, name: str = "d1") -> Ordered:
    said = Credit(cluster=bus.subjects.cluster, id=name, account="client/me", amount=amount)
    return sign(said, OPERATOR)


async def balance(bus: Bus, account: str, *, at: int | None = None) -> BalanceReply:
    """Wait until the newest sealed state has nothing of the account left out, and holds what is `at` least expected."""
    subject = bus.subjects.service("anchor", "balance")
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                reply = await bus.request(subject, BalanceRequest(account=account, proof=True), BalanceReply)
            except (BusUnavailable, Malformed):
                await asyncio.sleep(0.02)
                continue
            leaf = check(reply.proof.encode()).leaf or {"received": 0, "given": 0}
            sealed = (leaf["received"], leaf["given"]) == (reply.received, reply.given)
            if sealed and at in (None, reply.received - reply.given):
                return reply
            await asyncio.sleep(0.01)


async def states(bus: Bus) -> list[LedgerState]:
    """The states in ANCHORS, in order."""
    return [line for line in await anchored(bus) if isinstance(line, LedgerState)]


async def test_a_deposit_is_paid_out_by_verdicts_and_every_balance_has_its_proof(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """From the operator's order to the proof that a stranger checks, against the line that stands in ANCHORS."""
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        assert await order(bus, credit(bus, 1000)) == OrderReply(ok=True)
        await judge(bus, "me.t1", agree=("n1", "n2"), reward=101)
        mine = await balance(bus, "client/me", at=900)
        node = await balance(bus, "node/n2", at=50)
        nobody = await balance(bus, "node/n9", at=0)
        energy = await bus.request(
            bus.subjects.service("anchor", "energy"),
            EnergyRequest(account="node/n1", proof=True),
            EnergyReply,
        )
    sealed = {state.epoch: state for state in await states(bus)}

    for reply in (mine, node, nobody):
        proven = check(reply.proof.encode())
        assert proven.state["accounts_root"] == sealed[reply.epoch].accounts_root
    assert check(nobody.proof.encode()).leaf is None
    assert list(sealed) == list(range(1, len(sealed) + 1))
    assert sealed[max(sealed)].credited == 1000
    assert (energy.results, energy.fuel) == (1, 1234)
    assert check(energy.proof.encode()).name == f"node/n1 {energy.month}"


async def test_an_order_counts_once_and_a_bad_one_says_why(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """The same order again is answered with yes; a stranger's, and one for more than there is, with field and limit."""
    stranger = Identity.generate()
    burn = Burn(cluster=cluster, id="b1", account="node/n1", amount=1, to="somewhere")
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        assert (await order(bus, credit(bus, 10))).ok
        assert (await order(bus, credit(bus, 10))).ok
        other = await order(
            bus, sign(Credit(cluster=cluster, id="x", account="client/me", amount=9), stranger)
        )
        more = await order(bus, sign(burn, OPERATOR))
        await balance(bus, "client/me", at=10)

    assert (other.ok, other.field) == (False, "keyid")
    assert (more.field, more.limit) == ("amount", "must be at most the 0 msat that node/n1 holds")
    assert sum(isinstance(line, Ordered) for line in await anchored(bus)) == 1


async def test_a_restart_and_a_twin_go_on_where_the_first_was(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """From a checkpoint or from the logs alone, the next anchor seals the next epoch, and the sums are those of all verdicts."""
    async with anchoring(bus.url, cluster, tmp_path / "a", checkpoint_s=0.1, **QUICK):
        await order(bus, credit(bus, 1000))
        await judge(bus, "me.t1", agree=("n1",), reward=100)
        await balance(bus, "node/n1", at=100)
        async with asyncio.timeout(WAIT_S):
            while not await manifests_of(bus, "anchor"):
                await asyncio.sleep(0.05)
    key = tmp_path / "a" / "identity"
    async with anchoring(bus.url, cluster, tmp_path / "a", **QUICK):
        await judge(bus, "me.t2", agree=("n1",), reward=50)
        await balance(bus, "node/n1", at=150)
    async with anchoring(bus.url, cluster, tmp_path / "b", key=key, **QUICK):
        await order(bus, credit(bus, 1000))
        await judge(bus, "me.t3", agree=("n1",), reward=7)
        await balance(bus, "node/n1", at=157)
        await balance(bus, "client/me", at=843)
    epochs = [state.epoch for state in await states(bus)]

    assert epochs == list(range(1, len(epochs) + 1))


async def test_a_quiet_ledger_is_sealed_once(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """Where nothing moves, ANCHORS does not grow."""
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        await balance(bus, "client/me", at=0)
        await order(bus, credit(bus, 10))
        await balance(bus, "client/me", at=10)
        before = len(await states(bus))
        for _ in range(10):
            await balance(bus, "client/me", at=10)
            await asyncio.sleep(QUICK["ledger_every_s"])  # type: ignore[arg-type]

        assert len(await states(bus)) == before


async def test_questions_about_no_account_are_refused(bus: Bus, cluster: str, tmp_path: Path) -> None:
    """A name without its kind is a mistake, and no account with nothing in it."""
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        await health(bus)
        for endpoint, asked in (
            ("balance", BalanceRequest(account="me")),
            ("energy", EnergyRequest(account="node/")),
        ):
            with pytest.raises(Malformed, match="client/<name> or node/<name>"):
                await bus.request(bus.subjects.service("anchor", endpoint), asked, msgspec.Raw)


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    """With the field and what is allowed."""
    with pytest.raises(SettingsRefused, match=r"operators\[0\]"):
        AnchorSettings(data=tmp_path, operators=("ABC",))
    with pytest.raises(SettingsRefused, match="ledger_every_s"):
        AnchorSettings(data=tmp_path, ledger_every_s=0)


async def test_a_proof_of_no_month_is_refused_and_of_any_month_given(
    bus: Bus, cluster: str, tmp_path: Path
) -> None:
    """That a node used nothing in a month can be proven; that it used nothing at all, only month by month."""
    async with anchoring(bus.url, cluster, tmp_path, **QUICK):
        await balance(bus, "client/me", at=0)
        subject = bus.subjects.service("anchor", "energy")
        with pytest.raises(Malformed, match="for which month"):
            await bus.request(subject, EnergyRequest(account="node/n1", proof=True), EnergyReply)
        told = await bus.request(
            subject, EnergyRequest(account="node/n1", month="2026-07", proof=True), EnergyReply
        )

    assert check(told.proof.encode()).leaf is None
    assert check(told.proof.encode()).name == "node/n1 2026-07"
