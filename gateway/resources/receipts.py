"""Receipts and proofs: what a check of one found."""

from typing import Any, Literal

from msgspec import Struct

from gateway.resources.common import Count

__all__ = ["Block", "ProofReport", "ReceiptReport"]


class Block(Struct, frozen=True, kw_only=True):
    """The block that a receipt shows; `work` is how many hashes it and its successors took, as a decimal number."""

    txid: str
    block: str
    height: Count
    time_s: Count
    work: str


class ReceiptReport(Struct, frozen=True, kw_only=True):
    """What the check of a receipt found, of a task or of an account (`kind`). Where it does not hold, `link` is what is broken and `error` says why.

    `proven` and `unproven` are sentences for people. The check is the one that anybody can make without this cluster (`ambient verify`).
    `held` is what the ledger holds under an account's `name`; None: nothing.
    """

    holds: bool
    link: str = ""
    error: str = ""
    kind: Literal["", "task", "account"] = ""
    name: str = ""
    status: str = ""
    output_digest: str = ""
    verifier_key: str = ""
    log: str = ""
    leaf: Count = 0
    size: Count = 0
    witnesses: dict[str, int] = {}
    nodes: dict[str, str] = {}
    held: dict[str, Any] | None = None
    block: Block | None = None
    proven: list[str] = []
    unproven: list[str] = []


class ProofReport(Struct, frozen=True, kw_only=True):
    """What the check of a proof of the kind `format` found, and under which commitment (hex) to a state of the ledger it holds.

    A proof from the ledger shows no block. The receipt of a task shows no state: `receipts/verify` says more of it.
    """

    holds: bool
    format: str
    link: str = ""
    error: str = ""
    name: str = ""
    tree: str = ""
    leaf: dict[str, Any] | None = None
    epoch: Count = 0
    commitment: str = ""
    block: Block | None = None
