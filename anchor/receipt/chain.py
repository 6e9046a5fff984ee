"""The last links of every receipt: from what was committed to, through a Bitcoin transaction, to the blocks on top of it; in words, too.

Guarantees that a receipt which shows a block shows one whose transaction commits to the very state in question, under all that the reader
demands of blocks. A receipt that shows none says so, and is refused where a block was demanded.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import log2

from anchor.receipt.bitcoin.spv import Confirmation
from anchor.receipt.demands import Demands
from anchor.receipt.errors import LinkBroken
from anchor.receipt.published import Published, check_published

__all__ = ["Shown", "check_chain", "moment"]

_NETWORKS = {
    "main": "the Bitcoin chain",
    "testnet4": "Bitcoin's test chain testnet4",
    "signet": "Bitcoin's test chain signet",
    "regtest": "a private test chain (regtest)",
}


@dataclass(slots=True, kw_only=True)
class Shown:
    """What any receipt showed. `proven` and `unproven` are sentences for people, `confirmed` is the same of the chain for programs."""

    confirmed: Confirmation | None = None
    proven: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)


def check_chain(
    published: Published | None, committed: bytes, report: Shown, demands: Demands, *, what: str
) -> None:
    """Note in `report` since when `what` (`The log's state`) existed, by the commitment to it. Raises `LinkBroken` or `Malformed`."""
    if published is None:
        if demands.final or demands.headers or demands.work or demands.network:
            raise LinkBroken("confirmations", "no Bitcoin block is shown: get the receipt again later")
        return
    confirmed = report.confirmed = check_published(published, committed)
    _demand(published, confirmed, demands)
    network = published.network
    report.proven.append(
        f"{what} is committed to by transaction {confirmed.txid[::-1].hex()} in block {confirmed.height} of {_NETWORKS[network]} "
        f"({confirmed.block[::-1].hex()}): by that block's clock it existed at {moment(confirmed.time_s)} at the latest."
    )
    report.proven.append(
        f"The block and the {confirmed.successors} on top of it took about 2^{log2(confirmed.work):.1f} hashes to make."
    )
    if demands.headers:
        report.proven.append("All of these blocks are in the chain of headers that you gave.")
    elif network == "main":
        report.unproven.append(
            "That these blocks are in the chain that everybody follows: compare the block's id, or give --headers; until then they are worth their work."
        )
    else:
        report.unproven.append(
            f"That nobody made these blocks for the purpose: on {_NETWORKS[network]} work costs little or nothing."
        )


def _demand(published: Published, confirmed: Confirmation, demands: Demands) -> None:
    if demands.network not in (None, published.network):
        raise LinkBroken("network", f"the block is of {published.network}, not of {demands.network}")
    blocks = [header.hash for header in published.proof.headers]
    if demands.headers and (strange := [each for each in blocks if each not in demands.headers]):
        raise LinkBroken("headers", f"block {strange[0][::-1].hex()} is not in the chain that you gave")
    if confirmed.work < demands.work:
        raise LinkBroken(
            "work", f"2^{log2(confirmed.work):.1f} hashes are shown, you demand 2^{log2(demands.work):.1f}"
        )


def moment(time_s: int) -> str:
    """Seconds since 1970 as people read them."""
    try:
        return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{time_s} s after 1970"
