"""The errors of `ledger`. What is wrong with a proof is said by `ledger.proof`, which stands alone."""

__all__ = ["LedgerError", "OrderRefused", "StateUnusable"]


class LedgerError(Exception):
    """The base of all errors of this package."""


class OrderRefused(LedgerError):
    """An operator's order cannot be carried out: `field` says what is wrong with it, `limit` what is allowed there."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}" if field else limit)
        self.field = field
        self.limit = limit


class StateUnusable(LedgerError):
    """What was kept of a ledger cannot be read: an earlier checkpoint or the logs themselves must do."""
