"""What the reader of a receipt trusts and asks for. Whatever is asked for must be shown, or nothing of the receipt is believed."""

from collections.abc import Collection
from dataclasses import dataclass

from anchor.receipt.errors import LinkBroken
from anchor.receipt.note import Key

__all__ = ["Demands"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """Nothing, unless it is given.

    `task` is the task that the receipt must be of, `account` the account of the ledger. `verifiers` are the keys (hex) that may sign verdicts,
    `logs` the logs' keys, `witnesses` those whose cosignatures count, at least `quorum` of them. `headers` are ids (as hashed) of the
    blocks of the chain that the reader follows, `network` its name, `work` the least number of hashes, `final` that there must be a
    block at all, and `evidence` that every counted result must be shown.
    """

    task: str | None = None
    account: str | None = None
    verifiers: Collection[str] = ()
    logs: Collection[Key] = ()
    witnesses: Collection[Key] = ()
    quorum: int = 0
    headers: Collection[bytes] = ()
    network: str | None = None
    work: int = 0
    final: bool = False
    evidence: bool = False

    def of_a_verdict(self) -> None:
        """Raises `LinkBroken` where something is asked that the receipt of a verdict cannot show."""
        if self.account is not None:
            raise LinkBroken("account", f"the receipt is of a task, not of {self.account}")

    def of_an_account(self) -> None:
        """Raises `LinkBroken` where something is asked that the receipt of an account cannot show."""
        for link, asked in (
            ("task", self.task is not None),
            ("verdict's signer", self.verifiers),
            ("witnesses", self.quorum),
            ("evidence", self.evidence),
        ):
            if asked:
                raise LinkBroken(link, "the receipt is of an account of the ledger, and shows none")
