"""Every error that `anchor` raises itself, split by who is at fault; what a receipt does not prove is `anchor.receipt.errors`'."""

__all__ = ["AnchorError", "FolderUnusable", "LogDamaged", "SettingsRefused"]


class AnchorError(Exception):
    """The base of all errors of this package."""


class SettingsRefused(AnchorError):
    """The operator's settings cannot be used: `field` says which, `limit` what is allowed there."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"anchor setting {field}: {limit}")
        self.field = field
        self.limit = limit


class FolderUnusable(AnchorError):
    """The anchor's folder cannot be read or written: free space there, or choose another `--data`."""


class LogDamaged(AnchorError):
    """What is on disk is not what was signed, and cannot be made again from VERDICTS: nothing more is signed before it is restored."""
