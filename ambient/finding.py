"""One thing that `ambient doctor` examined."""

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was examined; `cure` says what to do where it is not well."""

    subject: str
    ok: bool
    detail: str
    cure: str = ""
