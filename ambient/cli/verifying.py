"""`verify`: the check of a receipt or a proof without anybody's help: it imports nothing that speaks to a cluster."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.markup import escape

from ambient.cli.exits import Exit
from ambient.cli.files import read_file
from ambient.cli.options import Connection
from ambient.cli.output import err, out, print_json
from ambient.cli.shown import Broken, account_shown, is_proof, receipt_shown, verify_proof
from anchor.receipt.account_check import AccountReport
from anchor.receipt.check import Report
from anchor.receipt.container import read_receipt
from anchor.receipt.errors import LinkBroken, ReceiptError
from anchor.receipt.extract import extracted
from anchor.receipt.kinds import check_any
from anchor.receipt.trust import demands_of
from bus.errors import Malformed

__all__ = ["verify"]

_SOME = validators.Number(gte=0)


def verify(
    file: Annotated[
        Path, Parameter(help="A receipt, of a task or of an account, or a proof from the ledger.")
    ],
    /,
    *,
    task: Annotated[str | None, Parameter(help="The task that it must be of, `<client>.<id>`.")] = None,
    account: Annotated[
        str | None,
        Parameter(help="The account that it must be of, `client/<name>` or `node/<name>`."),
    ] = None,
    verifier_key: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Key that may sign verdicts, in hex."),
    ] = (),
    log_key: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Log that you trust, as a C2SP vkey."),
    ] = (),
    witness: Annotated[
        tuple[str, ...],
        Parameter(negative="", show_default=False, help="Witness that you trust, as a C2SP vkey."),
    ] = (),
    witnesses: Annotated[int, Parameter(validator=_SOME, help="How many of them must have cosigned.")] = 0,
    headers: Annotated[
        Path | None, Parameter(help="File of the block headers that you follow, 80 bytes each.")
    ] = None,
    network: Annotated[
        Literal["main", "testnet4", "signet", "regtest"] | None,
        Parameter(help="Chain that the block must be of."),
    ] = None,
    work: Annotated[int, Parameter(validator=_SOME, help="The least work, as a power of two.")] = 0,
    final: Annotated[bool, Parameter(negative="", help="There must be a block.")] = False,
    evidence: Annotated[bool, Parameter(negative="", help="Every counted result must be shown.")] = False,
    commitment: Annotated[
        str | None, Parameter(help="Of a proof from the ledger: the commitment to its state, in hex.")
    ] = None,
    extract: Annotated[
        Path | None,
        Parameter(
            help="Folder for what other tools read: the verdict, its tlog-proof, its OpenTimestamps proof."
        ),
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Check a receipt, or a proof from the ledger, and say what it proves and what not. Needs no network, no cluster and no trust in either.

    Exits 0 only if every link holds, and all that you demand of it; else it names the link that is broken.
    """
    data = read_file("FILE", file)
    if is_proof(data):
        return verify_proof(data, commitment, as_json=connection.json)
    try:
        demands = demands_of(
            task=task,
            account=account,
            verifier_keys=verifier_key,
            log_keys=log_key,
            witnesses=witness,
            quorum=witnesses,
            headers=None if headers is None else read_file("--headers", headers),
            network=network,
            work_bits=work,
            final=final,
            evidence=evidence,
        )
    except ReceiptError as error:
        raise Malformed(f"--{getattr(error, 'field', '')}", str(getattr(error, "limit", error))) from None
    try:
        report = check_any(data, demands)
    except ReceiptError as error:
        if connection.json:
            link = error.link if isinstance(error, LinkBroken) else ""
            print_json(
                Broken(error=str(error), code=Exit.NOT_VERIFIED, reason=Exit.NOT_VERIFIED.word, link=link)
            )
        err.print(f"[bold red]broken[/] {escape(str(error))}")
        return Exit.NOT_VERIFIED
    if extract is not None:
        _extract(data, report, extract)
    if connection.json:
        if isinstance(report, AccountReport):
            print_json(account_shown(report))
        else:
            print_json(receipt_shown(report, file, len(data)))
        return Exit.OK
    for each in report.proven:
        out.print(f"[green]✓[/] {escape(each)}")
    for each in report.unproven:
        out.print(f"[yellow]·[/] Not proven: {escape(each)}")
    return Exit.OK


def _extract(data: bytes, report: Report | AccountReport, folder: Path) -> None:
    """Write what other tools read of a receipt that holds. Raises `Malformed` where they read nothing."""
    if isinstance(report, AccountReport):
        raise Malformed("--extract", "is for receipts of tasks: other tools read nothing of an account's")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in extracted(read_receipt(data)).items():
        (folder / name).write_bytes(content)
