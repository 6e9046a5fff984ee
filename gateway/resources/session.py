"""Who makes a request."""

from msgspec import Struct

from gateway.tokens import Role

__all__ = ["Session"]


class Session(Struct, frozen=True, kw_only=True):
    """A token: what it is called, what it may do, in whose name it submits, and in which cluster."""

    name: str
    role: Role
    client: str
    cluster: str
