"""The fence of a log with one writer: what each message demands of the log, and whose message it was that is found there. Pure.

Guarantees that where the server honours these headers, a message is stored only directly behind the message that its writer
knows or has just sent, whatever a predecessor or successor has in flight.

A sequence alone does not fence what is pipelined: where a successor wrote one message, a stale writer's first is refused, but
its second expects the very sequence that the log then has. So whatever is sent while the message before it is undecided also
names that message as the one to follow. What follows a message that is known to be stored needs no more than its
sequence, and a server that forgot the last message's id (it may when it restarts) keeps nobody from writing.

That name is for logs on one server alone. Where a log has replicas, servers (2.15) look at the sequence before they replicate a message, and at
the name only when they apply it; a name that is wrong then stops the log on every one of them, for good. So a writer of such a log has one message
in flight: the one before it is always known, and the sequence alone fences it.

Each message also names who wrote it and under which epoch: for people, and for whoever holds one record and not the log around it.
No rule rests on that.
"""

from typing import NamedTuple

__all__ = ["EPOCH", "LEADER", "Fence", "Leadership"]

_WRITER = "Avcp-Writer"
LEADER = "Avcp-Leader"
EPOCH = "Avcp-Epoch"
"""Headers of a message in a log with one writer: the writer's name, and the number of its leadership."""


class Leadership(NamedTuple):
    """Who leads (a token, see `bus.subjects`), and the number of that leadership among all of this log."""

    leader: str
    epoch: int


class Fence:
    """One writer's, beginning after sequence `last`. `mark` tells it from every other writer, also from its own earlier lives.

    Twins that decide alike write the same bytes, and only one of them has written: hence the mark.
    """

    def __init__(self, mark: str, last: int, leadership: Leadership | None = None) -> None:
        self.mark = mark
        self._next = last + 1
        self._signed = {_WRITER: mark}
        if leadership is not None:
            self._signed |= {LEADER: leadership.leader, EPOCH: str(leadership.epoch)}

    def __repr__(self) -> str:
        """Who, and where next."""
        return f"Fence({self.mark}, next={self._next})"

    def number(self) -> int:
        """The sequence that the next message must get."""
        self._next += 1
        return self._next - 1

    def headers(self, expected: int, *, decided: bool) -> dict[str, str]:
        """What the message that must get the sequence `expected` demands; `decided` is whether the one before it is known to be stored."""
        headers = {
            "Nats-Expected-Last-Sequence": str(expected - 1),
            "Nats-Msg-Id": f"{self.mark}-{expected}",
            **self._signed,
        }
        if not decided:
            headers["Nats-Expected-Last-Msg-Id"] = f"{self.mark}-{expected - 1}"
        return headers

    def wrote(self, headers: dict[str, str] | None, found: bytes, sent: bytes) -> bool:
        """Whether the message found at a sequence is the one that this writer sent there."""
        return (headers or {}).get(_WRITER, "") == self.mark and found == sent
