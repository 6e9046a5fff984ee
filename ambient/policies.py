"""What a caller may write for `verify`, `limits`, `place` and `deadline`, turned into the messages of the contract.

Guarantees that whatever does not fit is `TaskRejected` with field and limit, before anything is sent. What each policy
does is the verifier's affair; which limits there are is `bus.messages`'.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ambient.errors import TaskRejected
from bus.messages import Limits, Place, Quorum, Signature, VerifyPolicy

__all__ = [
    "Limits",
    "Place",
    "Quorum",
    "Signature",
    "Verify",
    "VerifyPolicy",
    "deadline",
    "limits",
    "place",
    "policy",
]

Verify = str | VerifyPolicy | None
"""`"signature"`, `"quorum:2/3"`, a `Signature` or `Quorum`, or None for the default, `signature`."""

_QUORUM = re.compile(r"quorum:(\d{1,2})/(\d{1,2})")
_ALLOWED = 'give "signature", "quorum:2/3" (agree/of), or a Signature or Quorum'


def policy(verify: Verify) -> VerifyPolicy:
    """The typed policy for what a caller wrote; raises `TaskRejected` (field `verify`)."""
    if verify is None or verify == "signature":
        return Signature()
    if isinstance(verify, Signature | Quorum):
        return verify
    found = _QUORUM.fullmatch(verify) if isinstance(verify, str) else None
    if found is None:
        raise TaskRejected("verify", f"{_ALLOWED}, not {verify!r}")
    try:
        return Quorum(agree=int(found[1]), of=int(found[2]))
    except ValueError as error:
        raise TaskRejected("verify", f"{error}, not {verify!r}") from None


def limits(value: Limits | Mapping[str, Any] | None) -> Limits:
    """The limits of a task; raises `TaskRejected` (field `limits.…`)."""
    return _typed("limits", value, Limits)


def place(value: Place | Mapping[str, Any] | None) -> Place:
    """Where a task may run; raises `TaskRejected` (field `place.…`)."""
    return _typed("place", value, Place)


def deadline(value: dt.datetime | dt.timedelta | None) -> dt.datetime | None:
    """The moment after which nobody wants the result; a `timedelta` counts from now.

    Raises `TaskRejected` (field `deadline`) for a time without a time zone.
    """
    if isinstance(value, dt.timedelta):
        return dt.datetime.now(dt.UTC) + value
    if value is not None and (not isinstance(value, dt.datetime) or value.tzinfo is None):
        raise TaskRejected(
            "deadline", "give a datetime with a time zone (datetime.now(UTC) + …) or a timedelta from now"
        )
    return value


def _typed[T](field: str, value: T | Mapping[str, Any] | None, kind: type[T]) -> T:
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        limit, _, path = str(error).partition(" - at `$")
        raise TaskRejected(field + path.rstrip("`"), limit) from None
