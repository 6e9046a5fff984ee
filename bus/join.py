"""Join tokens: all that a new node must know, in one word that fits into a command line.

It is `avcp-join-` and base64url of a JSON object. It holds the node's private key, so whoever has it is the node: it is made once, for one node,
and kept by that node alone. Guarantees that what is read is complete, or refused with what to do.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bus.errors import IdentityUnusable, Malformed
from bus.messages.task import Token
from bus.signing import Identity

__all__ = ["JoinToken"]

_PREFIX = "avcp-join-"
_SEED_BYTES = 32


class JoinToken(Struct, frozen=True, kw_only=True):
    """Where to connect, as whom, and the seed (32 bytes) of the node's Ed25519 key."""

    nats: Annotated[str, Meta(min_length=1, max_length=2000)]
    cluster: Token
    node: Token
    seed: Annotated[bytes, Meta(min_length=_SEED_BYTES, max_length=_SEED_BYTES)]

    def __repr__(self) -> str:
        """Without the seed."""
        return f"JoinToken({self.node} of {self.cluster} at {self.nats})"

    def text(self) -> str:
        """The token as one word."""
        return _PREFIX + urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    def keep(self, path: Path) -> None:
        """Make the key the identity at `path`. Raises `IdentityUnusable` where another one is there."""
        kept = Identity.keep(path, self.seed)
        if kept.key != Identity.from_seed(self.seed).key:
            raise IdentityUnusable(
                f"{path} holds another identity: give this node another --data, or delete the file to give that identity up"
            )

    @classmethod
    def read(cls, text: str) -> "JoinToken":
        """The token that `text` is. Raises `Malformed` (field `join`)."""
        word = text.strip()
        body = word.removeprefix(_PREFIX)
        try:
            token = _READ.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (ValueError, msgspec.MsgspecError) as error:
            raise Malformed("join", f"must be a join token, whole as it was given ({error})") from None
        # What decodes to the same by leniency (other characters are passed over) is not the token that was given.
        if token.text() != word:
            raise Malformed(
                "join", f"must be a join token, which begins with {_PREFIX}, whole as it was given"
            )
        return token


_READ = msgspec.json.Decoder(JoinToken)
