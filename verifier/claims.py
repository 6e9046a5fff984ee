"""What comes in from RESULTS: opened, decoded, and checked against what was assigned.

Guarantees that whatever bytes a node sends, the answer is a list of well-formed results by the owner of one key, or a reason
for refusal out of `REASONS`. Nothing here raises for bad input: a claim that does not hold is ignored and counted.

A result whose inline output does not hash to its own digest is no vote: the node contradicts itself, so nothing it says of this
attempt can be relied on, and an answer that nobody can check against anything must neither agree nor dissent. But it is all
that this node will say to an attempt that was its own, so it counts as a fault of the node, and others are asked.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bus.errors import BadSignature, Malformed
from bus.messages import INLINE_LIMIT_BYTES, Assigned, Result
from bus.reader import Entry
from bus.signing import RESULTS, open_signed
from bus.wire import decode, decoder, sha256_hex

__all__ = ["REASONS", "UNUSABLE", "Claims", "Refusal", "contradiction", "open_claims"]

REASONS = (
    "malformed",  # no signed message, or a member that is no result
    "bad signature",  # the envelope does not hold for the members
    "unknown node",  # nobody enrolled the node that the subject names
    "wrong key",  # signed by another key than the node's
    "wrong node",  # a member speaks for another node than the subject
    "future decision",  # answers a decision that ASSIGNMENTS does not hold
    "not assigned",  # the node was never given this attempt of this task
    "wrong decision",  # another decision than the one that gave the attempt
    "wrong digests",  # made from another spec, module or input: a fault
    "wrong output",  # the output contradicts its own digest or size, or is missing: a fault
    "duplicate",  # the node has answered this task, or this attempt, before
    "settled",  # the task has its verdict, and this answer was counted or cannot be
)
"""Why a result may be ignored; the names of the counters."""

UNUSABLE = frozenset({"wrong digests", "wrong output"})
"""What a node answered to the very decision that gave it the attempt, and cannot be judged: a fault. Were it passed over in
silence, the coordinator, which checks no claims, would take the attempt for answered and wait for a verdict for ever."""

_RESULT = decoder(Result)


class Claims(NamedTuple):
    """One entry of RESULTS whose signature holds: `members` are its well-formed results with their lines.

    `horizon` is the highest decision that any of them answers.
    """

    sequence: int
    node: str
    key: str
    members: Sequence[tuple[int, Result]]
    malformed: int
    horizon: int

    def within(self, end: int) -> "Claims":
        """These claims without the members that answer decisions beyond `end`."""
        members = [member for member in self.members if member[1].decision <= end]
        return self._replace(members=members, horizon=max((r.decision for _, r in members), default=0))


class Refusal(NamedTuple):
    """An entry of RESULTS that is believed in no part, and why."""

    sequence: int
    reason: str
    detail: str


def open_claims(entry: Entry) -> Claims | Refusal:
    """Verify one entry's signature and decode its members; one signature check serves all of them."""
    try:
        key, lines = open_signed(entry.body, RESULTS)
    except BadSignature as error:
        return Refusal(entry.sequence, "bad signature", str(error))
    except Malformed as error:
        return Refusal(entry.sequence, "malformed", str(error))
    members: list[tuple[int, Result]] = []
    horizon = 0
    for at, line in enumerate(lines):
        try:
            result = decode(line, _RESULT)
        except Malformed:
            continue
        members.append((at, result))
        horizon = max(horizon, result.decision)
    node = entry.subject.rpartition(".")[2]
    return Claims(entry.sequence, node, key, members, len(lines) - len(members), horizon)


def contradiction(result: Result, decision: int, assigned: Assigned) -> str:
    """Why `result` cannot answer `assigned`, made at `decision`; empty if it can."""
    if result.decision != decision:
        return "wrong decision"
    if (
        result.spec != assigned.spec or result.module != assigned.module or result.input != assigned.input
    ):  # a result is bound to exactly what was asked
        return "wrong digests"
    if result.output is None:
        # What is small enough travels with the claim: without it nobody could be given what was verified.
        missing = result.status == "ok" and result.output_size <= INLINE_LIMIT_BYTES
        return "wrong output" if missing else ""
    if len(result.output) != result.output_size or sha256_hex(result.output) != result.output_digest:
        return "wrong output"
    return ""
