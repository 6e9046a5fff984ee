"""Every error of the Bitcoin half, split by who is at fault; bytes that are no transaction, block or proof are `anchor.receipt.errors`'.

`ChainUnavailable` and `ChainWrong` blame the node or the way to it, `TxRefused` is
its verdict on a transaction; `WalletLocked`, `WalletEmpty` and `FeeCapReached` need a person, and say what to do; `StoreUnusable` blames
this machine's disk, `InvalidTransition` whoever wrote the log.
"""

from anchor.errors import AnchorError

__all__ = [
    "BitcoinError",
    "ChainUnavailable",
    "ChainWrong",
    "FeeCapReached",
    "InvalidTransition",
    "StoreUnusable",
    "TxRefused",
    "WalletEmpty",
    "WalletError",
    "WalletLocked",
]


class BitcoinError(AnchorError):
    """The base of all errors of this package."""


class ChainUnavailable(BitcoinError):
    """The node cannot be reached, or does not answer in time. Nothing is lost: it is asked again."""


class ChainWrong(BitcoinError):
    """The node's answer cannot be true: `field` says which part, `limit` what would be. Nothing of it is used."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"the node's answer is not usable, {field}: {limit}")
        self.field = field
        self.limit = limit


class TxRefused(BitcoinError):
    """The node does not take a transaction; `reason` is its own word for it, `fee` whether a higher fee may help."""

    def __init__(self, reason: str, *, fee: bool = False) -> None:
        super().__init__(f"the node refused the transaction: {reason}")
        self.reason = reason
        self.fee = fee


class WalletError(BitcoinError):
    """The wallet cannot pay; a person has to do something about it."""


class WalletLocked(WalletError):
    """The wallet is encrypted and locked: unlock it with `walletpassphrase`."""


class WalletEmpty(WalletError):
    """The wallet has not got what the transaction costs: send it some."""


class FeeCapReached(WalletError):
    """A transaction would cost more than the cap named `field` allows: wait for lower fees, or raise the cap."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}")
        self.field = field
        self.limit = limit


class StoreUnusable(BitcoinError):
    """Files of this machine that the anchor cannot use; the message says which, and what to do with them."""


class InvalidTransition(BitcoinError):
    """A record of the log cannot follow the ones before it: it was not written by an anchor that had read them."""
