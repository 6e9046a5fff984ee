"""Every error that `gateway` raises, split by who is at fault.

`Refused` and its children blame the request and become an answer (RFC 9457); `GatewayError`'s other children blame who set the gateway up.
"""

from typing import ClassVar

__all__ = [
    "AddressTaken",
    "AssetsUnusable",
    "Conflict",
    "Forbidden",
    "GatewayError",
    "Mismatch",
    "NotFound",
    "Refused",
    "SettingsRefused",
    "TokensUnusable",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "UnknownProof",
]


class GatewayError(Exception):
    """The base of all errors of this package."""


class SettingsRefused(GatewayError):
    """A setting is out of its range: `field` says which, `limit` what is allowed."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}")
        self.field = field
        self.limit = limit


class AddressTaken(GatewayError):
    """The API cannot be served at the host and port that were asked for."""


class TokensUnusable(GatewayError):
    """The file of tokens is not fit for use; the message says what to do with it."""


class AssetsUnusable(GatewayError):
    """The installed files of Swagger UI are not the ones that were looked at: they are not served."""


class Refused(GatewayError):
    """A request that is answered with a problem: what is wrong (`detail`), where (`field`) and what is allowed there (`limit`).

    `headers` go with the answer; `task` names the task that it is about.
    """

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "malformed"
    title: ClassVar[str] = "The request breaks the contract"

    def __init__(
        self,
        detail: str,
        *,
        field: str = "",
        limit: str = "",
        task: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit = limit
        self.task = task
        self.headers = headers or {}


class Unauthenticated(Refused):
    """No token, or none that is known."""

    status = 401
    kind = "unauthenticated"
    title = "A token is needed"


class Forbidden(Refused):
    """The token's role, or its client, may not do this."""

    status = 403
    kind = "forbidden"
    title = "This token may not do that"


class NotFound(Refused):
    """There is no such thing, or no longer."""

    status = 404
    kind = "not-found"
    title = "There is no such thing"


class Conflict(Refused):
    """It cannot be done as things are now."""

    status = 409
    kind = "conflict"
    title = "That does not fit what is there"


class TooLarge(Refused):
    """The body has more bytes than are taken."""

    status = 413
    kind = "too-large"
    title = "The body is too large"


class Mismatch(Refused):
    """An idempotency key comes again with another request."""

    status = 422
    kind = "idempotency-mismatch"
    title = "This key was used for another request"


class TooMany(Refused):
    """More requests than the token may make."""

    status = 429
    kind = "too-many-requests"
    title = "Too many requests"


class Unavailable(Refused):
    """The bus, a log or a service does not answer, or is full: the same request may succeed later."""

    status = 503
    kind = "unavailable"
    title = "The cluster does not answer"


class UnknownProof(Refused):
    """A proof of a kind that is not checked here: `limit` names those that are. Whether it holds is not said."""

    status = 415
    kind = "unknown-proof"
    title = "This kind of proof is not checked here"

    def __init__(self, said: str, kinds: tuple[str, ...]) -> None:
        what = f"{said[:64]!r}" if said else "a file that does not say what it is"
        limit = f"one of {', '.join(kinds)}"
        super().__init__(
            f"format: {what} is not checked here, only {limit}; for another kind ask who made the proof for its verifier",
            field="format",
            limit=limit,
        )
