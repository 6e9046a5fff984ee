"""The log's core: a pure fold over VERDICTS and ANCHORS that says which verdicts are leaves, and which states may be signed.

A leaf is a verdict as its verifier signed it: the envelope line of its message, a line break, and its own line. Leaves stand in the order of
VERDICTS. What is no leaf is said in ANCHORS, with the reason (`Unlogged`): a message whose signature does not hold, a line that breaks the
contract, and a second verdict for a task.

For the latter the tasks of the last day are remembered (`anchor.window`); a task of that name that comes later is another one.

Guarantees that the leaves are a function of the two logs, so that whoever folds them has the same tree; that a state which was signed
is the only one of its size that will be (`LogDamaged` where the logs no longer lead to it); and that nothing in either log makes a fold raise
otherwise.

Left to the shell: folding ANCHORS to its end before VERDICTS, files, signing, and making lines durable.
"""

import struct
from collections import Counter
from typing import NamedTuple

import msgspec
import structlog

from anchor.errors import LogDamaged
from anchor.receipt.errors import ReceiptError
from anchor.receipt.merkle import leaf_hash
from anchor.receipt.note import Checkpoint, read_checkpoint, read_note
from anchor.tree.edge import Edge, Tile
from anchor.window import Window
from bus.errors import BadSignature, Malformed, UnknownKind
from bus.messages import Inconclusive, Late, Leader, Opened, Signed, Unlogged, Verdict
from bus.signing import VERDICTS, open_signed
from bus.wire import decode, split_lines
from folds.remembered import Remembered
from folds.runs import Run

__all__ = ["KNOWN", "AnchorLine", "Core", "Logged", "Place"]

_log = structlog.get_logger("anchor.core")

AnchorLine = Leader | Opened | Signed | Unlogged
"""The lines of ANCHORS that this core knows; others are for others."""

type Place = tuple[int, int]

_VERDICT: msgspec.json.Decoder[Verdict | Inconclusive | Late | Leader] = msgspec.json.Decoder(
    Verdict | Inconclusive | Late | Leader
)
_ANCHOR: msgspec.json.Decoder[AnchorLine] = msgspec.json.Decoder(AnchorLine)
KNOWN = struct.Struct("<QQI")
"""Of each task: its leaf, and its place in TASKS."""
_MOST_LIMIT, _MOST_FIELD, _MOST_TASK = 500, 200, 200


class _Contradiction(Malformed):
    """A second verdict for a task."""

    def __init__(self, task: str, leaf: int) -> None:
        super().__init__("task", f"a task has one verdict, and this one's is leaf {leaf}")
        self.task = task


class Logged(NamedTuple):
    """What one message of VERDICTS brought: its verdicts' line numbers, the leaf that the first of them is, and tiles that became full.

    `unlogged` are the lines to write to ANCHORS, those that do not stand there yet.
    """

    sequence: int
    first: int
    lines: tuple[int, ...]
    tiles: list[Tile]
    unlogged: list[Unlogged]


class Core:
    """Everything one anchor knows of the log called `origin`. The tasks of leaves before `retired` are not in `index` any more. `counters` counts what is no leaf, by field, for metrics."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.edge = Edge()
        self.index = Remembered(KNOWN.size)
        self.window = Window()
        self.retired = 0
        self.position = 0
        self.anchored = 0
        self.epoch = 0
        self.opened: Opened | None = None
        self.signed: Signed | None = None
        self.unlogged: dict[Place, Unlogged] = {}
        self.counters: Counter[str] = Counter()

    def __repr__(self) -> str:
        """How long the log is, and how much of it is signed."""
        signed = self.signed.size if self.signed is not None else 0
        return f"Core({self.origin}, size={self.edge.size}, signed={signed}, verdicts={self.position})"

    @property
    def state(self) -> Checkpoint:
        """The state of the log as it is folded."""
        return Checkpoint(self.origin, self.edge.size, self.edge.root())

    @property
    def may_sign(self) -> bool:
        """Whether there is something to sign: a signed state is never gone behind, nor signed anew."""
        return self.edge.size > (self.signed.size if self.signed is not None else 0)

    def leaf_of(self, task: str) -> int | None:
        """Which leaf the task's verdict is; None where it is not remembered. Of tasks of one name it is the newest one's."""
        packed = self.index.get(task)
        return None if packed is None else int(KNOWN.unpack(packed)[0])

    # -- ANCHORS ---------------------------------------------------------------------------------------

    def fold_anchors(self, sequence: int, body: bytes) -> None:
        """Take in one entry of ANCHORS. Raises `LogDamaged` where two signed states of it contradict each other, or this log's."""
        for line in _split(body):
            try:
                message = decode(line, _ANCHOR)
            except UnknownKind:
                continue
            except Malformed as error:
                _log.warning("a line of ANCHORS is passed over", sequence=sequence, reason=str(error))
                continue
            if type(message) is Leader:
                self.epoch = max(self.epoch, message.epoch)
            elif type(message) is Opened:
                self.opened = self.opened or message
            elif type(message) is Unlogged:
                self.unlogged.setdefault(message.place, message)
            elif type(message) is Signed:
                self._fold_signed(message)
        self.anchored = sequence

    def _fold_signed(self, message: Signed) -> None:
        before = self.signed
        if before is not None and message.size < before.size:
            raise LogDamaged(
                f"ANCHORS holds a checkpoint of size {message.size} behind one of size {before.size}: restore it from a backup"
            )
        if before is not None and message.size == before.size and _state_of(message) != _state_of(before):
            raise LogDamaged(
                f"ANCHORS holds two checkpoints of size {message.size} that differ: restore it from a backup"
            )
        self.signed = message
        self._compare()

    def _compare(self) -> None:
        """Once VERDICTS is folded as far as the newest checkpoint covers it, the tree must be the one that was signed."""
        signed = self.signed
        if signed is None or signed.verdicts != self.position:
            return
        if _state_of(signed) != self.state:
            raise LogDamaged(
                f"VERDICTS up to {signed.verdicts} no longer leads to the checkpoint of size {signed.size} that was signed: "
                "restore it, or the anchor's folder and checkpoints, from a backup"
            )

    def wrote(self, sequence: int, messages: list[AnchorLine]) -> None:
        """These lines are durable, together at `sequence` in ANCHORS."""
        for message in messages:
            if type(message) is Signed:
                self.signed = message
            elif type(message) is Opened:
                self.opened = message
        self.anchored = sequence

    def lead(self, leader: str, opened: Opened) -> list[AnchorLine]:
        """Begin to write, under the next epoch; ANCHORS must be folded to its end. The lines to write before any other."""
        self.epoch += 1
        opening: list[AnchorLine] = [Leader(epoch=self.epoch, leader=leader)]
        return opening if self.opened is not None else [*opening, opened]

    # -- VERDICTS --------------------------------------------------------------------------------------

    def fold_verdicts(self, sequence: int, body: bytes, at_ms: int = 0) -> Logged:
        """Take in one entry of VERDICTS, which the server took at `at_ms` (ms since 1970). Raises `LogDamaged` where the tree is no longer the one that was signed."""
        first, refused = self.edge.size, list[Unlogged]()
        self.window.note(at_ms, first)
        lines, hashes = self._leaves(sequence, body, refused)
        tiles = self.edge.append(hashes)
        self.position = sequence
        self._compare()
        fresh = [each for each in refused if self.unlogged.setdefault(each.place, each) is each]
        return Logged(sequence, first, lines, tiles, fresh)

    def _leaves(
        self, sequence: int, body: bytes, refused: list[Unlogged]
    ) -> tuple[tuple[int, ...], list[bytes]]:
        try:
            _, members = open_signed(body, VERDICTS)
        except BadSignature as error:
            refused.append(self._refuse((sequence, 0), "sig", str(error)))
            return (), []
        except Malformed as error:
            refused.append(self._refuse((sequence, 0), error.field, error.limit))
            return (), []
        envelope = split_lines(body)[0] + b"\n"
        lines, hashes = list[int](), list[bytes]()
        for at, member in enumerate(members):
            verdict = self._verdict((sequence, at), member, refused)
            if verdict is None:
                continue
            leaf = self.edge.size + len(lines)
            self.index.put(verdict.task, KNOWN.pack(leaf, *verdict.source), leaf)
            lines.append(at)
            hashes.append(leaf_hash(envelope + member))
        return tuple(lines), hashes

    def _verdict(self, place: Place, member: bytes, refused: list[Unlogged]) -> Verdict | None:
        """The verdict in a line, if it is to be a leaf."""
        if place in self.unlogged:
            return None
        try:
            message = decode(member, _VERDICT)
            if type(message) is not Verdict:
                return None
            self._check(message)
        except UnknownKind:
            return None
        except Malformed as error:
            task = error.task if isinstance(error, _Contradiction) else ""
            refused.append(self._refuse(place, error.field, error.limit, task))
            return None
        return message

    def _check(self, verdict: Verdict) -> None:
        """Raise `Malformed` where this cannot be the verdict of its task."""
        sequence, line = verdict.source
        if not (0 <= sequence < 1 << 63 and 0 <= line < 1 << 31):
            raise Malformed("source", "a sequence and a line in TASKS, neither of them negative")
        found = self.index.get(verdict.task)
        if found is not None:
            leaf, *source = KNOWN.unpack(found)
            # A name may be given again once it was forgotten: then the task stands further behind in TASKS.
            if leaf >= self.window.first and verdict.source <= tuple(source):
                raise _Contradiction(verdict.task, leaf)

    # -- forgetting ------------------------------------------------------------------------------------

    @property
    def retiring(self) -> list[Run]:
        """The runs of the index in which every leaf is older than the window, the oldest first."""
        return [run for run in self.index.runs if run.last < self.window.first]

    def retire(self, runs: list[Run]) -> None:
        """These runs are kept elsewhere."""
        self.index.runs = [run for run in self.index.runs if run not in runs]
        self.retired = max([self.retired, *(run.last + 1 for run in runs)])

    def forget_refusals(self, before: int) -> None:
        """Nobody folds VERDICTS before this sequence again: what is no leaf there need not be known."""
        self.unlogged = {place: each for place, each in self.unlogged.items() if place[0] >= before}

    def _refuse(self, place: Place, field: str, limit: str, task: str = "") -> Unlogged:
        self.counters[field or "message"] += 1
        if place not in self.unlogged:
            _log.error(
                "a verdict is not logged",
                sequence=place[0],
                line=place[1],
                field=field,
                limit=limit,
                task=task,
            )
        return Unlogged(
            place=place, field=field[:_MOST_FIELD], limit=limit[:_MOST_LIMIT], task=task[:_MOST_TASK]
        )


def _state_of(signed: Signed) -> Checkpoint | None:
    try:
        return read_checkpoint(read_note(signed.note.encode()).text)
    except ReceiptError:
        return None


def _split(body: bytes) -> list[bytes]:
    try:
        return split_lines(body)
    except Malformed:
        return []
