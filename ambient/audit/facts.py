"""What the logs say of one task name, packed: some hundred bytes a task, since there may be millions.

Guarantees that each log's facts come back in the order of that log, however the logs were interleaved. Strings are not kept: names of nodes
and keys are numbered, and what need only be compared is a 128-bit digest.
"""

from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct, msgpack

from bus.messages import Quorum, Result, Verdict, VerifyPolicy
from bus.wire import encode

__all__ = [
    "Assignment",
    "Cancel",
    "Claim",
    "End",
    "Fact",
    "GivenUp",
    "LateLine",
    "Names",
    "Offer",
    "Packed",
    "Place",
    "Policy",
    "Question",
    "Submission",
    "Task",
    "add",
    "answer_of",
    "binding",
    "cost_of",
    "policy",
    "unpack",
    "words",
]

type Place = tuple[int, int]
"""Where a line is: (sequence, line), lines counted from 0."""

type Policy = tuple[int, int]
"""(agree, of) of a quorum; (0, 0) is `signature`."""

type Offer = tuple[int, int]
"""(reward, price) in msat; (0, 0) for what is done for nothing."""

type Packed = bytes | bytearray
"""The facts of one name: `bytes` while they are few, as nearly all are."""

_DIGEST_BYTES = 16


class Submission(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A well-formed line of TASKS; `bound` stands for its digests."""

    place: Place
    at_ms: int
    bound: bytes
    policy: Policy
    max_attempts: int
    deadline: bool
    offer: Offer


class Cancel(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Its client wants the task withdrawn."""

    sequence: int


class Assignment(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """An attempt was given to nodes, which are numbers here and below."""

    place: Place
    at_ms: int
    source: Place
    attempt: int
    bound: bytes
    policy: Policy
    nodes: tuple[int, ...]
    offer: Offer


class GivenUp(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """The coordinator gave the task up."""

    place: Place
    at_ms: int
    source: Place
    status: str
    bound: bytes
    policy: Policy
    said: bytes


class Claim(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """A node's signed result: `sound` is whether its output is what its digest says; `key` is a number, too."""

    place: Place
    node: int
    key: int
    attempt: int
    decision: int
    fault: bool
    sound: bool
    bound: bytes
    answer: bytes
    cost: bytes
    energy_j: float


class End(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """A verdict; `said` stands for its reason and detail, `answer` and `cost` for what can be compared with its evidence."""

    place: Place
    at_ms: int
    source: Place
    status: str
    sound: bool
    empty: bool
    attempts: int
    bound: bytes
    policy: Policy
    answer: bytes
    cost: bytes
    said: bytes
    energy_j: float
    agree: tuple[int, ...]
    dissent: tuple[int, ...]
    faulted: tuple[int, ...]
    evidence: tuple[Place, ...]
    offer: Offer


class Question(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """An `inconclusive` line."""

    place: Place
    need: int
    after: int
    exclude: tuple[int, ...]
    faulted: tuple[int, ...]


class LateLine(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """A `late` line."""

    place: Place
    node: int
    agrees: bool
    evidence: Place


Fact = Submission | Cancel | Assignment | GivenUp | Claim | End | Question | LateLine

_pack = msgpack.Encoder().encode
_FACTS = msgpack.Decoder(list[Fact])
_ARRAY = (
    b"\xdd"  # MessagePack's array 32: the length follows in four bytes, then the members one after the other
)
_HEAD_BYTES = 5
_MANY_BYTES = 4096


class Task:
    """Everything that is known of one name, each list in the order of its log."""

    __slots__ = ("abandoned", "assigned", "cancels", "claims", "late", "questions", "submissions", "verdicts")

    def __init__(self) -> None:
        self.submissions: dict[Place, Submission] = {}
        self.cancels: list[Cancel] = []
        self.assigned: list[Assignment] = []
        self.abandoned: list[GivenUp] = []
        self.claims: dict[Place, Claim] = {}
        self.verdicts: list[End] = []
        self.questions: list[Question] = []
        self.late: list[LateLine] = []


def add(packed: Packed | None, fact: Fact) -> Packed:
    """The packed facts of a name with one more; raises `OverflowError` for numbers beyond 64 bits."""
    more = _pack(fact)
    if packed is None:
        return b"\xdd\x00\x00\x00\x01" + more
    count = (int.from_bytes(packed[1:_HEAD_BYTES]) + 1).to_bytes(4)
    if len(packed) < _MANY_BYTES:
        return b"".join((_ARRAY, count, packed[_HEAD_BYTES:], more))
    # Anybody may claim anything of one task, a million times: that must not be copied each time.
    grown = packed if isinstance(packed, bytearray) else bytearray(packed)
    grown[1:_HEAD_BYTES] = count
    grown += more
    return grown


def unpack(packed: Packed) -> Task:
    """Undo the packing of all the facts of a name."""
    task = Task()
    for fact in _FACTS.decode(packed):
        match fact:
            case Submission():
                task.submissions[fact.place] = fact
            case Claim():
                task.claims[fact.place] = fact
            case Assignment():
                task.assigned.append(fact)
            case End():
                task.verdicts.append(fact)
            case Question():
                task.questions.append(fact)
            case LateLine():
                task.late.append(fact)
            case GivenUp():
                task.abandoned.append(fact)
            case Cancel():
                task.cancels.append(fact)
    return task


class Names:
    """Numbers for strings, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def __repr__(self) -> str:
        """How many there are."""
        return f"Names({len(self._names)})"

    def number(self, name: str) -> int:
        """The number of a name, given to it if need be."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def numbers(self, names: Sequence[str]) -> tuple[int, ...]:
        """The numbers of several."""
        return tuple([self.number(name) for name in names])

    def name(self, number: int) -> str:
        """The name of a number."""
        return self._names[number]

    def names(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """The names of several numbers."""
        return tuple([self._names[number] for number in numbers])


def binding(spec: str, module: str, input_: str) -> bytes:
    """What stands for the three digests that bind a line to what was asked."""
    # Three digests have no line breaks, so no other three strings can be joined to the same.
    return blake2b(f"{spec}\n{module}\n{input_}".encode(), digest_size=_DIGEST_BYTES).digest()


def policy(verify: VerifyPolicy) -> Policy:
    """A policy as two numbers."""
    return (verify.agree, verify.of) if isinstance(verify, Quorum) else (0, 0)


def words(*said: str) -> bytes:
    """What stands for words that are only compared."""
    return _digest(said)


def answer_of(said: Result | Verdict) -> bytes:
    """What stands for an answer: two results agree if status, reason, exit code, output digest and trace are equal."""
    status = "ok" if said.status == "verified" else said.status
    return _digest((status, said.reason, said.exit_code, said.output_digest, said.trace))


def cost_of(said: Result | Verdict) -> bytes:
    """What stands for the rest that a verdict copies from its first agreeing result."""
    return _digest(
        (said.detail, said.output_size, said.stderr, said.fuel, said.peak_memory_bytes, said.wall_ms)
    )


def _digest(said: tuple[object, ...]) -> bytes:
    return blake2b(encode(said), digest_size=_DIGEST_BYTES).digest()
