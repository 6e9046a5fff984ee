"""What ANCHORS says, as far as it is remembered: signed states, publications and the newest state of the ledger. Pure."""

from bisect import bisect_left
from collections import deque
from typing import Any, NamedTuple

from bus.messages import (
    Broadcast,
    Built,
    Final,
    LedgerState,
    Mined,
    Opened,
    Reorged,
    Signed,
    Stranded,
    Unlogged,
)
from gateway.resources.anchor import AnchorView, Checkpoint, Publication, PublicationStep
from gateway.resources.ledger import LedgerSummary
from gateway.resources.tasks import Proven

__all__ = ["Anchors"]

_NOTES = 64
_STATES = 10_000
_PUBLICATIONS = 256
_MOST_STEPS = 64


class _State(NamedTuple):
    verdicts: int
    size: int
    at_ms: int


class _Published:
    def __init__(self, number: int) -> None:
        self.number = number
        self.chain = self.network = self.txid = self.block = ""
        self.height = self.fee_sat = self.begun_ms = self.final_ms = 0
        self.roots: dict[str, int] = {}
        self.steps: deque[PublicationStep] = deque(maxlen=_MOST_STEPS)

    def view(self) -> Publication:
        return Publication(
            number=self.number,
            status=self.steps[-1].kind if self.steps else "",
            chain=self.chain,
            network=self.network,
            txid=self.txid,
            height=self.height,
            block=self.block,
            fee_sat=self.fee_sat,
            begun_ms=self.begun_ms,
            roots=self.roots,
            steps=list(self.steps),
        )


class Anchors:
    """A fold over ANCHORS."""

    def __init__(self) -> None:
        self.origin = self.key = ""
        self.ledger = LedgerSummary()
        self.unlogged = 0
        self._states: list[_State] = []
        self._notes: deque[Checkpoint] = deque(maxlen=_NOTES)
        self._published: dict[int, _Published] = {}

    def __repr__(self) -> str:
        """What is remembered."""
        return f"Anchors({self.origin!r}, {len(self._states)} states, {len(self._published)} publications)"

    def fold(self, line: Any, sequence: int, at_ms: int) -> None:
        """One line."""
        match line:
            case Opened():
                self.origin, self.key = line.origin, line.key
            case Signed():
                self._signed(line, sequence, at_ms)
            case Unlogged():
                self.unlogged += 1
            case LedgerState():
                self.ledger = LedgerSummary(
                    epoch=line.epoch,
                    verdicts=line.verdicts,
                    at_ms=at_ms,
                    accounts=line.accounts,
                    accounts_root=line.accounts_root,
                    energy_root=line.energy_root,
                    burns_root=line.burns_root,
                    credited=line.credited,
                    burned=line.burned,
                )
            case Built() | Broadcast() | Mined() | Reorged() | Final() | Stranded():
                self._step(line)

    def _signed(self, line: Signed, sequence: int, at_ms: int) -> None:
        note = Checkpoint(
            size=line.size, verdicts=line.verdicts, at_ms=at_ms, sequence=sequence, note=line.note
        )
        if self._states and self._states[-1].size == line.size:
            self._notes[-1] = note  # the same state under more signatures
            return
        self._notes.append(note)
        self._states.append(_State(line.verdicts, line.size, at_ms))
        if len(self._states) > _STATES:
            del self._states[: _STATES // 10]

    def _step(self, line: Built | Broadcast | Mined | Reorged | Final | Stranded) -> None:
        found = self._published.get(line.number)
        if found is None:
            found = self._published[line.number] = _Published(line.number)
            if len(self._published) > _PUBLICATIONS:
                del self._published[next(iter(self._published))]
        if isinstance(line, Built):
            found.chain, found.txid, found.fee_sat = line.chain, line.txid, line.fee_sat
            found.begun_ms = found.begun_ms or line.at_ms
            found.roots = {root.origin: root.size for root in line.roots} or found.roots
        elif not isinstance(line, Stranded):
            found.txid = line.txid
        if isinstance(line, Mined | Final):
            found.height, found.block = line.height, line.block
        if isinstance(line, Final):
            found.network, found.final_ms = line.network, line.at_ms
        found.steps.append(
            PublicationStep(
                kind=type(line).__name__.lower(),
                at_ms=line.at_ms,
                txid=getattr(line, "txid", ""),
                height=getattr(line, "height", 0),
                block=getattr(line, "block", ""),
                fee_sat=getattr(line, "fee_sat", 0),
                reason=getattr(line, "reason", ""),
            )
        )

    def proven(self, verdict: int) -> Proven:
        """How far the proof of the verdict at that sequence in VERDICTS is."""
        at = bisect_left(self._states, verdict, key=lambda state: state.verdicts)
        if at == len(self._states):
            return Proven(state="logged", said="the next signed state of the log will cover it")
        covering = self._states[at]
        # The first state that is remembered covers it, too; but it may not have been the first to do so.
        signed_ms = covering.at_ms if at or covering.size <= 1 else 0
        publications = (p for p in self._published.values() if p.roots.get(self.origin, -1) >= covering.size)
        first = next(publications, None)
        if first is None:
            return Proven(
                state="signed",
                at_ms=signed_ms,
                size=covering.size,
                said="it is not published on Bitcoin, yet",
            )
        return Proven(
            state="final" if first.final_ms else "signed",
            said="" if first.final_ms else "it is being published on Bitcoin",
            at_ms=signed_ms,
            size=covering.size,
            published_ms=first.begun_ms,
            final_ms=first.final_ms,
            txid=first.txid,
            network=first.network,
            height=first.height,
        )

    def view(self) -> AnchorView:
        """All that is remembered, newest first."""
        return AnchorView(
            origin=self.origin,
            key=self.key,
            checkpoints=list(reversed(self._notes)),
            publications=[each.view() for each in reversed(self._published.values())],
            unlogged=self.unlogged,
        )
