"""One thing that `ambient doctor` examined."""

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was examined; `cure` says what to do where it is not well."""

    subject: str
    """What was examined."""
    ok: bool
    """Whether it is well."""
    detail: str
    """What was found."""
    cure: str = ""
    """What to do; empty where it is well."""
