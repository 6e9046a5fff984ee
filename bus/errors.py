"""Every error that `bus` raises, split by who is at fault.

`Malformed` and `BadSignature` blame the sender of a message; `BusUnavailable` and its children blame the
server or the way to it; `IdentityUnusable` blames this machine's own key file; `Stopped` blames the caller; `Fenced`
and `Trimmed` blame nobody: somebody else writes this log now, or cut it. Messages tell the person what to do next.
"""

__all__ = [
    "BadSignature",
    "BlobCorrupt",
    "BlobMissing",
    "BusError",
    "BusUnavailable",
    "Fenced",
    "Forbidden",
    "IdentityUnusable",
    "LogFull",
    "Malformed",
    "NoResponder",
    "ServerFailed",
    "ServiceFailed",
    "Stopped",
    "StreamMissing",
    "Trimmed",
    "UnknownKind",
    "reason",
]


def reason(error: BaseException) -> str:
    """What an error says, or its kind where it says nothing (as a time-out of asyncio does)."""
    return str(error) or type(error).__name__


class BusError(Exception):
    """The base of all errors of this package."""


class Malformed(BusError):
    """A message breaks the contract: `field` says where, `limit` what is allowed there."""

    def __init__(self, field: str, limit: str) -> None:
        super().__init__(f"{field}: {limit}" if field else limit)
        self.field = field
        self.limit = limit


class UnknownKind(Malformed):
    """A line of a kind that this reader does not know: a newer peer may write such, and whoever folds a log passes over it."""


class BadSignature(BusError):
    """A signed message does not hold: it is not believed, whatever it says."""


class BusUnavailable(BusError):
    """The bus cannot be reached, or does not answer."""


class NoResponder(BusUnavailable):
    """NATS is there, but nobody serves this subject: the service is not running in this cluster."""


class ServiceFailed(BusUnavailable):
    """A service answered that it could not answer: the question was good, its log says what was not."""


class StreamMissing(BusUnavailable):
    """NATS is there, but the cluster's logs are not: nobody has set this cluster up."""


class LogFull(BusUnavailable):
    """A log is at its limit, or the cluster takes no new tasks. Nothing was stored; wait for room, or raise the limit."""


class Forbidden(BusUnavailable):
    """The server does not let this user do that: its role does not need it, or it is not the user that it should be."""


class ServerFailed(BusUnavailable):
    """The embedded nats-server did not start or has died."""


class Fenced(BusError):
    """Another writer wrote to this log: re-read it from `expected` on and stand by."""

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(
            f"another writer holds {stream} (sequence {expected} is taken): fold what is new, then decide who leads"
        )
        self.stream = stream
        self.expected = expected


class Stopped(BusError):
    """This reader or writer was stopped by its owner: nothing more comes of it, make a new one."""


class Trimmed(BusError):
    """A log was cut beyond where a reader stood: what it missed is in a checkpoint, so begin again from there."""


class IdentityUnusable(BusError):
    """The file that holds this machine's identity is not fit for use; the message says what to do with it."""


class BlobMissing(BusError):
    """No blob of that digest is stored: upload it, or correct the digest."""


class BlobCorrupt(BusError):
    """The stored bytes do not hash to their name; they are not used."""
