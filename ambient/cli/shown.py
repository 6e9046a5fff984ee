"""What a receipt or a proof shows, for `--json` and for people, whoever got or checked it. Imports nothing that speaks to a cluster."""

from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape

from ambient.cli.exits import Exit
from ambient.cli.failing import Failed
from ambient.cli.output import err, out, print_json
from anchor.receipt.account_check import AccountReport
from anchor.receipt.chain import Shown
from anchor.receipt.check import Report
from bus.errors import Malformed
from ledger.proof import ProofBroken, Proven, check

__all__ = [
    "AccountShown",
    "Block",
    "Broken",
    "ProofShown",
    "ReceiptShown",
    "account_shown",
    "is_proof",
    "proof_lines",
    "receipt_shown",
    "verify_proof",
]


class Broken(Failed, frozen=True, kw_only=True):
    """A receipt or proof that does not hold: an error that says where."""

    holds: bool = False
    """False."""
    link: str
    """The link of the chain that is broken; empty where the file is no receipt at all."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The Bitcoin block that a receipt shows."""

    txid: str
    """The transaction that commits to the state, in hex as block explorers show it."""
    block: str
    """The block's hash, likewise."""
    height: int
    """Blocks before it."""
    time_s: int
    """By the block's own clock, in seconds since 1970."""
    work: str
    """Hashes that the shown blocks took to make on average, in decimal: more than a number of JSON holds exactly."""


class ReceiptShown(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a task, and what it shows."""

    holds: bool = True
    """True."""
    file: str
    """The file of the receipt."""
    bytes: int
    """Its size."""
    task: str
    """`<client>.<id>`."""
    status: str
    """How the task ended: `verified`, `failed`, `cancelled` or `expired`."""
    output_digest: str
    """SHA-256 of the output, in hex; empty where there is none."""
    verifier_key: str
    """The key that signed the verdict, in hex."""
    log: str
    """The origin (name) of the log that has the verdict."""
    leaf: int
    """Which entry of the log it is, from 0."""
    size: int
    """Entries of the log in the signed state that the receipt shows."""
    witnesses: dict[str, int]
    """Who else signed that state: time of the cosignature, in seconds since 1970, by the witness's name."""
    nodes: dict[str, str]
    """The key, in hex, that signed each counted result, by node, as far as the receipt has the evidence."""
    block: Block | None
    """Where the state is published; null where the receipt shows no block."""
    proven: list[str]
    """What is proven, in sentences."""
    unproven: list[str]
    """What is not, in sentences."""


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of an account, and what it shows."""

    holds: bool = True
    """True."""
    tree: str
    """`accounts` or `energy`."""
    name: str
    """`client/<name>` or `node/<name>`; of energy with the month behind it."""
    leaf: dict[str, Any] | None
    """What the ledger holds under this name, as docs/ledger.md says; null where it holds nothing."""
    state: dict[str, Any]
    """The line of ANCHORS that states the ledger, as docs/ledger.md says."""
    log_key: str
    """The key that signed the state, as a C2SP vkey."""
    block: Block | None
    """Where the state is published; null where the receipt shows no block."""
    proven: list[str]
    """What is proven, in sentences."""
    unproven: list[str]
    """What is not, in sentences."""


class ProofShown(msgspec.Struct, frozen=True, kw_only=True):
    """A proof from the ledger, and what it shows."""

    holds: bool = True
    """True."""
    tree: str
    """`accounts` or `energy`."""
    name: str
    """`client/<name>` or `node/<name>`; of energy with the month behind it."""
    leaf: dict[str, Any] | None
    """What the ledger holds under this name, as docs/ledger.md says; null where it holds nothing."""
    state: dict[str, Any]
    """The line of ANCHORS that states the ledger, as docs/ledger.md says."""
    commitment: str
    """The 32 bytes that stand for the state wherever it is published, in hex."""


def receipt_shown(report: Report, file: Path, size: int) -> ReceiptShown:
    """The report for scripts: the same, without sentences to take apart."""
    return ReceiptShown(
        file=str(file),
        bytes=size,
        task=report.verdict.task,
        status=report.verdict.status,
        output_digest=report.verdict.output_digest,
        verifier_key=report.signer,
        log=report.checkpoint.origin,
        leaf=report.leaf,
        size=report.checkpoint.size,
        witnesses=report.witnessed,
        nodes=report.nodes,
        block=_block(report),
        proven=report.proven,
        unproven=report.unproven,
    )


def account_shown(report: AccountReport) -> AccountShown:
    """The report for scripts: the same, without sentences to take apart."""
    return AccountShown(
        tree=report.tree,
        name=report.name,
        leaf=report.leaf,
        state=report.state,
        log_key=str(report.key),
        block=_block(report),
        proven=report.proven,
        unproven=report.unproven,
    )


def _block(report: Shown) -> Block | None:
    """The block that a receipt shows."""
    confirmed = report.confirmed
    if confirmed is None:
        return None
    return Block(
        txid=confirmed.txid[::-1].hex(),
        block=confirmed.block[::-1].hex(),
        height=confirmed.height,
        time_s=confirmed.time_s,
        work=str(confirmed.work),
    )


def is_proof(data: bytes) -> bool:
    """Whether this claims to be a proof from the ledger, and no receipt."""
    return data.startswith(b"{")


def verify_proof(data: bytes, committed: str | None, *, as_json: bool) -> Exit:
    """Check it and say what it shows. Raises `Malformed` for a commitment that is none."""
    try:
        wanted = None if committed is None else bytes.fromhex(committed)
    except ValueError:
        raise Malformed("--commitment", "must be 64 hex digits") from None
    try:
        proven = check(data, committed=wanted)
    except ProofBroken as error:
        if as_json:
            print_json(
                Broken(
                    error=str(error), code=Exit.NOT_VERIFIED, reason=Exit.NOT_VERIFIED.word, link=error.link
                )
            )
        err.print(f"[bold red]broken[/] {escape(str(error))}")
        return Exit.NOT_VERIFIED
    if as_json:
        print_json(ProofShown(**proven._asdict() | {"commitment": proven.commitment.hex()}))
        return Exit.OK
    for line in proof_lines(proven):
        out.print(f"[green]✓[/] {escape(line)}")
    if wanted is None:
        unknown = (
            "that this state was published: compare its commitment with one that you trust (--commitment)"
        )
        out.print(f"[yellow]·[/] Not proven: {escape(unknown)}")
    return Exit.OK


def proof_lines(proven: Proven) -> list[str]:
    """What a proof shows, in sentences."""
    leaf, state = proven.leaf, proven.state
    if leaf is None:
        shown = f"{proven.name} is not in the ledger" + " and has no energy counted" * (
            proven.tree == "energy"
        )
    elif proven.tree == "accounts":
        shown = f"{proven.name} holds {leaf['received'] - leaf['given']:,} msat: it received {leaf['received']:,} and gave {leaf['given']:,}"
    else:
        methods = ", ".join(f"{uj / 1e6:,.6f} J {method}" for method, uj in leaf["energy_uj"].items())
        shown = f"{proven.name}: {leaf['results']:,} results, {leaf['fuel']:,} fuel, {methods}"
    return [
        shown,
        f"in the state of epoch {state['epoch']}, with the verdicts up to {state['verdicts']} of VERDICTS and the orders up to {state['anchors']} of ANCHORS",
        f"all accounts together hold {state['credited'] - state['burned']:,} msat: {state['credited']:,} credited, {state['burned']:,} burned",
        f"the commitment to this state is {proven.commitment.hex()}",
    ]
