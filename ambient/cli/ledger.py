"""`balance`, `energy`, `credit`, `burn`: what accounts hold and what work took, with proofs, and an operator's orders."""

import secrets
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter, validators
from rich.markup import escape

from ambient.cli.exits import Exit
from ambient.cli.options import AccountReceipt, Connection
from ambient.cli.output import err, out, print_json
from ambient.cli.shown import AccountShown, account_shown
from ambient.cli.tasks import open_client
from ambient.client import Client
from ambient.errors import ServiceMissing
from ambient.settings import default_data
from anchor.receipt.account_check import AccountReport
from bus.errors import Malformed
from bus.messages import (
    AccountReceiptRequest,
    BalanceReply,
    Burn,
    Credit,
    EnergyReply,
    Ordered,
    OrderReply,
    PurseReply,
)
from bus.messages.ledger import AMOUNT_MAX, Order
from bus.signing import Identity
from bus.wire import decode, decoder, encode
from ledger.orders import sign

__all__ = [
    "balance",
    "burn",
    "credit",
    "energy",
    "figure_lines",
]

_Name = Annotated[str, Parameter(help="`client/<name>` or `node/<name>`; a bare name is a client's.")]
_Proof = Annotated[Path | None, Parameter(help="Also write a proof, for `ambient verify`, to this file.")]
_Amount = Annotated[
    int, Parameter(validator=validators.Number(gte=1, lte=AMOUNT_MAX), help="Millisatoshi (msat).")
]
_Key = Annotated[
    Path | None, Parameter(help="The operator's key file. Default: that of a cluster by `ambient up`.")
]
_Id = Annotated[
    str | None, Parameter(name="--id", help="Sent again under the same id, an order still counts once.")
]


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds."""

    balance: int
    """Received less given, in msat."""
    balance_of: BalanceReply
    """What the anchor answered."""
    purse: PurseReply | None
    """What the coordinator holds of it; null of a node's account, and where no coordinator answers."""
    receipt: AccountShown | None
    """What the receipt shows; null without `--receipt`."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """What a month of work took."""

    energy_of: EnergyReply
    """What the anchor answered."""
    receipt: AccountShown | None
    """What the receipt shows; null without `--receipt`."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's order, and what came of it."""

    order: Credit | Burn
    """What was signed."""
    reply: OrderReply
    """Whether it is carried out."""


async def balance(
    name: _Name | None = None,
    /,
    *,
    proof: _Proof = None,
    wanted: AccountReceipt = AccountReceipt(),
    connection: Connection = Connection(),
) -> Exit:
    """What an account holds, ours if not said otherwise: deposits and payments, or earnings and payouts."""
    account = _account(name or connection.settings.client)
    async with open_client(connection) as client:
        found = await client.balance(account, proof=proof is not None)
        purse = await _purse(client.purse(account.removeprefix("client/"))) if account[0] == "c" else None
        asked = AccountReceiptRequest(account=account, published=wanted.published)
        shown = await _receipt(client, asked, wanted)
    if proof is not None:
        proof.write_bytes(found.proof.encode())
    if connection.json:
        report = None if shown is None else account_shown(shown)
        print_json(
            Balance(balance=found.received - found.given, balance_of=found, purse=purse, receipt=report)
        )
        return Exit.OK
    out.print(f"[bold]{found.received - found.given:,} msat[/] {escape(account)}")
    out.print(f"  received {found.received:,}, gave {found.given:,}" + _held(purse))
    if proof is not None:
        err.print(f"{proof}: a proof in the state of epoch {found.epoch}; `ambient verify {proof}` checks it")
    return Exit.OK


async def energy(
    name: _Name | None = None,
    /,
    *,
    month: Annotated[str, Parameter(help="`2026-07`, in UTC; the last one with any work if not given.")] = "",
    proof: _Proof = None,
    wanted: AccountReceipt = AccountReceipt(),
    connection: Connection = Connection(),
) -> Exit:
    """What the work of a node took in a month, or the work for a client: joules by the method that they are known by."""
    account = _account(name or connection.settings.client)
    async with open_client(connection) as client:
        found = await client.energy(account, month=month, proof=proof is not None)
        asked = AccountReceiptRequest(
            account=account, tree="energy", month=found.month, published=wanted.published
        )
        shown = await _receipt(client, asked, wanted)
    if proof is not None:
        proof.write_bytes(found.proof.encode())
    if connection.json:
        print_json(Energy(energy_of=found, receipt=None if shown is None else account_shown(shown)))
        return Exit.OK
    for line in figure_lines(found):
        out.print(line)
    if proof is not None:
        err.print(f"{proof}: a proof in the state of epoch {found.epoch}; `ambient verify {proof}` checks it")
    return Exit.OK


async def credit(
    client: Annotated[str, Parameter(help="Name of the client.")],
    amount: _Amount,
    /,
    *,
    id_: _Id = None,
    key: _Key = None,
    connection: Connection = Connection(),
) -> Exit:
    """As the operator: note that a client deposited so much. Its tasks may offer that as rewards."""
    order = Credit(
        cluster=connection.settings.cluster, id=_new(id_), account=f"client/{client}", amount=amount
    )
    return await _order(order, key, connection)


async def burn(
    node: Annotated[str, Parameter(help="Name of the node.")],
    amount: _Amount,
    /,
    *,
    to: Annotated[str, Parameter(help="Where it is paid out, for whoever pays: an address, say.")],
    id_: _Id = None,
    key: _Key = None,
    connection: Connection = Connection(),
) -> Exit:
    """As the operator: take so much of what a node earned out of the ledger, to be paid out elsewhere."""
    order = Burn(
        cluster=connection.settings.cluster, id=_new(id_), account=f"node/{node}", amount=amount, to=to
    )
    return await _order(order, key, connection)


async def _receipt(
    client: Client, asked: AccountReceiptRequest, wanted: AccountReceipt
) -> AccountReport | None:
    """Write the receipt, where one is wanted; what it shows."""
    if wanted.receipt is None:
        return None
    data, report = await client.account_receipt(asked, wait=wanted.wait, timeout_s=wanted.timeout)
    wanted.receipt.write_bytes(data)
    final = "final" if report.confirmed is not None else "not published on Bitcoin"
    err.print(
        f"{wanted.receipt}: {len(data):,} bytes, state {report.state['epoch']} of the ledger, {final}; "
        f"`ambient verify {wanted.receipt}` checks it"
    )
    return report


async def _order(order: Credit | Burn, key: Path | None, connection: Connection) -> Exit:
    """Sign it and have it carried out. Raises `Malformed` where the order breaks its limits, or its operator has no key here."""
    path = key or default_data(connection.settings.cluster) / "operator.key"
    if not path.exists():
        raise Malformed("--key", f"{path} does not exist: give the operator's key file")
    decode(encode(order), decoder(Order))  # type: ignore[arg-type]  # a union is no type to mypy
    ordered: Ordered = sign(order, Identity.load(path))
    async with open_client(connection) as client:
        reply = await client.order(ordered)
    if connection.json:
        print_json(Carried(order=order, reply=reply))
    elif reply.ok:
        out.print(f"{order.amount:,} msat: done, as order {order.id} of {escape(order.account)}")
    else:
        err.print(f"[bold red]refused:[/] {escape(reply.field)}: {escape(reply.limit)}")
    return Exit.OK if reply.ok else Exit.REFUSED


def figure_lines(found: EnergyReply) -> list[str]:
    """A month's figures for people: joules by method, and for a billion of fuel where there is any."""
    if not found.results:
        return [
            f"nothing was counted for {escape(found.account)}" + (f" in {found.month}" * bool(found.month))
        ]
    joules = sum(found.energy_uj.values()) / 1e6
    lines = [
        f"[bold]{joules:,.3f} J[/] {escape(found.account)} in {found.month}: {found.results:,} results"
        + (f", {joules * 1e9 / found.fuel:,.3f} J for 10⁹ fuel" if found.fuel else "")
    ]
    return lines + [f"  {uj / 1e6:,.3f} J {escape(method)}" for method, uj in found.energy_uj.items()]


async def _purse(asked: Awaitable[PurseReply]) -> PurseReply | None:
    """What is held, where a coordinator leads that knows it: what an account holds is known without."""
    try:
        return await asked
    except ServiceMissing:
        return None


def _held(purse: PurseReply | None) -> str:
    return "" if purse is None else f"; {purse.held:,} held for open tasks, {purse.free:,} free"


def _account(name: str) -> str:
    return name if "/" in name else f"client/{name}"


def _new(order_id: str | None) -> str:
    return order_id or secrets.token_hex(8)
