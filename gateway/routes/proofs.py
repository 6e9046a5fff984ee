"""`/api/v1/proofs/verify`: whatever proves something here, checked.

Guarantees that the check is the one that a stranger makes (`ledger.proof`, `anchor.receipt`), and that what is of a kind that is not checked here is
refused as such, with the kinds that are, and is never told to be broken: that could be a proof elsewhere.
"""

import asyncio
import re
from typing import Annotated

import msgspec
from litestar import post
from litestar.params import QueryParameter
from msgspec import Struct

from anchor.receipt.account import read_account_receipt
from anchor.receipt.account_check import AccountReport
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken, ReceiptError
from anchor.receipt.kinds import check_any
from gateway.errors import UnknownProof
from gateway.parts import ApiRequest
from gateway.resources.receipts import ProofReport
from gateway.routes.answers import problems
from gateway.routes.bodies import FileOperation, file_of
from gateway.routes.receipts import MOST_BYTES, block_of
from ledger.proof import FORMATS, ProofBroken, commitment
from ledger.proof import check as check_proof

__all__ = ["format_of", "verify_proof"]

RECEIPT = "ambient-receipt@v1"
KINDS = (*FORMATS, RECEIPT)
_HEAD = re.compile(rb'\s*\{\s*"format"\s*:\s*"([^"\\]{1,64})"')
_FILE = re.compile(rb"([a-z0-9-]{1,40}@v[0-9]{1,4})\n")


class _Said(Struct):
    """What documents say of themselves: ours `format`, those of provers mostly one of the others."""

    format: str = ""
    kind: str = ""
    protocol: str = ""
    type: str = ""


@post(
    "/api/v1/proofs/verify",
    tags=["receipts"],
    summary="Check a proof from the ledger, or a receipt",
    operation_class=FileOperation,
    status_code=200,
    responses=problems(400, 413, 415),
)
async def verify_proof(
    request: ApiRequest,
    committed: Annotated[
        str | None,
        QueryParameter(
            name="commitment",
            pattern="^[0-9a-f]{64}$",
            description="The commitment to its state, in hex, that it must lead to",
        ),
    ] = None,
) -> ProofReport:
    """Answers 200 also where it does not hold: `holds` says it, `link` where, `error` why.

    415 is for what is of no kind that is checked here: `limit` names those that are. Zero-knowledge proofs are not among them.
    """
    data = await file_of(request, MOST_BYTES)
    form, wanted = format_of(data), bytes.fromhex(committed) if committed is not None else None
    return await asyncio.to_thread(_of_receipt if form == RECEIPT else _of_ledger, data, form, wanted)


def format_of(data: bytes) -> str:
    """Which of `KINDS` it says to be, damaged or not. Raises `UnknownProof`."""
    said = _said(data)
    if said not in KINDS:
        raise UnknownProof(said, KINDS)
    return said


def _said(data: bytes) -> str:
    named = _FILE.match(data) or _HEAD.match(data)
    if named is not None:
        return named[1].decode("utf-8", "replace")
    try:
        said = msgspec.json.decode(data, type=_Said)
    except (ValueError, RecursionError):
        return ""
    return said.format or said.kind or said.protocol or said.type


def _of_ledger(data: bytes, form: str, committed: bytes | None) -> ProofReport:
    try:
        found = check_proof(data, committed=committed)
    except ProofBroken as error:
        return ProofReport(holds=False, format=form, link=error.link, error=str(error))
    return ProofReport(
        holds=True,
        format=form,
        name=found.name,
        tree=found.tree,
        leaf=found.leaf,
        epoch=found.state["epoch"],
        commitment=found.commitment.hex(),
    )


def _of_receipt(data: bytes, form: str, committed: bytes | None) -> ProofReport:
    try:
        found = check_any(data, Demands())
        state = _state_of(data) if isinstance(found, AccountReport) else b""
        if committed is not None and state != committed:
            raise LinkBroken("state", "is not the one that was committed to")
    except ReceiptError as error:
        link = error.link if isinstance(error, LinkBroken) else getattr(error, "field", "")
        return ProofReport(holds=False, format=form, link=link, error=str(error))
    if not isinstance(found, AccountReport):
        return ProofReport(holds=True, format=form, name=found.verdict.task, block=block_of(found))
    return ProofReport(
        holds=True,
        format=form,
        name=found.name,
        tree=found.tree,
        leaf=found.leaf,
        epoch=found.state["epoch"],
        commitment=state.hex(),
        block=block_of(found),
    )


def _state_of(data: bytes) -> bytes:
    """The commitment to the state that an account's receipt shows: to the second line of what was signed."""
    return commitment(read_account_receipt(data).state.text.split("\n")[1].encode())
