"""Every error that `verifier` raises itself. What a node claims wrongly is no error but a counted refusal (`verifier.claims`)."""

__all__ = ["SettingsRefused", "VerifierError"]


class VerifierError(Exception):
    """The base of all errors of this package."""


class SettingsRefused(VerifierError):
    """The operator's settings cannot be used: `field` says which, `limit` what is allowed there."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"verifier setting {field}: {limit}")
        self.field = field
        self.limit = limit
