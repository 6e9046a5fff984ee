"""The answer to "how good is each node?"; the figures themselves are `bus.reputation`'s fold over VERDICTS."""

from bus.messages import ReputationEntry, ReputationReply
from bus.reputation import Reputation, success_rate
from bus.wire import MAX_MESSAGE_BYTES, encode

__all__ = ["answer"]


def answer(reputation: Reputation, *, max_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """A `ReputationReply` of all nodes, those with the lowest success rate first.

    A reply is one message: where that is too small for all nodes, the best ones are left out.
    """
    rows = sorted(reputation, key=lambda row: (success_rate(*row[1:]), row[0]))
    entries = [ReputationEntry(*row) for row in rows]
    body = encode(ReputationReply(entries))
    while len(body) > max_bytes:
        entries = entries[: len(entries) * max_bytes // len(body)]
        body = encode(ReputationReply(entries))
    return body
