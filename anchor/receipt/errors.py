"""Why a receipt is not accepted: its bytes are no receipt, or one link of what it claims does not hold."""

__all__ = ["LinkBroken", "Malformed", "ReceiptError"]


class ReceiptError(Exception):
    """The base of all errors of this package: whoever catches it has a receipt that proves nothing."""


class Malformed(ReceiptError):
    """The bytes break the format: `field` says where, `limit` what is allowed there."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}" if field else limit)
        self.field = field
        self.limit = limit


class LinkBroken(ReceiptError):
    """The receipt can be read, but `link` of the chain from verdict to block does not hold; `why` says what was found."""

    def __init__(self, link: str, why: str) -> None:
        super().__init__(f"{link}: {why}")
        self.link = link
        self.why = why
