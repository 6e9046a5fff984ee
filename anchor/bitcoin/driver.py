"""The shell around the decisions: looks, does what they say, writes records. It decides nothing.

Guarantees the order that `anchor.bitcoin.decisions` relies on: a record is durable, then folded, and only then acted on. Whatever ends a round in
between, the next one (of this process or another) goes on from the log. One round at a time.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from anchor.bitcoin.chain import Chain, View
from anchor.bitcoin.decisions import Build, Decisions, Hold, Prove, Send, Step, Write
from anchor.bitcoin.errors import ChainWrong, TxRefused, WalletError
from anchor.receipt.bitcoin import spv
from anchor.receipt.bitcoin.encoding import display
from anchor.receipt.errors import ReceiptError
from bus.messages.publication import Final, Publication, Root

__all__ = ["Driver", "Report"]

_ROUNDS = 12
"""Looks in one round: a publication takes three, and a node that never shows what it took must not hold us."""

_log = structlog.get_logger("anchor.bitcoin")


@dataclass(frozen=True, slots=True)
class Report:
    """What a round found: the last look, what it wrote, and what cannot go on and why, by number."""

    view: View
    wrote: list[Publication] = field(default_factory=list)
    held: dict[int, Exception] = field(default_factory=dict)


class Driver:
    """One chain's. `write` returns when a record is durable in ANCHORS and folded; it raises where another anchor writes there."""

    def __init__(
        self,
        chain: Chain,
        decisions: Decisions,
        write: Callable[[Publication], Awaitable[None]],
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._chain, self._decisions, self._write, self._clock_ms = chain, decisions, write, clock_ms

    async def round(self, wanted: Sequence[Root] = ()) -> Report:
        """Go on as far as the chain lets; `wanted` is published if nothing waits to be mined.

        Raises `ChainUnavailable` and `ChainWrong` where the chain cannot be asked or believed; nothing is lost then.
        """
        wrote: list[Publication] = []
        for _ in range(_ROUNDS):
            view = await self._chain.look(self._decisions.watch())
            steps = self._decisions.decide(view, wanted, self._clock_ms())
            held: dict[int, Exception] = {}
            moved = [await self._do(step, view, wrote, held) for step in steps]
            if any(isinstance(step, Build) and step.roots for step in steps):
                wanted = ()
            if not any(moved):
                break
        for number, error in held.items():
            _log.warning("publication waits", number=number, reason=str(error))
        return Report(view, wrote, held)

    async def _do(self, step: Step, view: View, wrote: list[Publication], held: dict[int, Exception]) -> bool:
        """Whether it changed anything."""
        match step:
            case Hold(number, error):
                held[number] = error
                return False
            case Send():
                return await self._send(step)
            case Write(record):
                pass
            case Build(request):
                try:
                    draft = await self._chain.draft(request)
                except WalletError as error:
                    held[request.number] = error
                    return False
                record = self._decisions.built(step, draft, view.tip, self._clock_ms())
            case Prove():
                record = await self._prove(step)
        await self._write(record)
        wrote.append(record)
        return True

    async def _send(self, step: Send) -> bool:
        try:
            await self._chain.send(step.attempt.tx)
        except TxRefused as refusal:
            _log.info("refused", txid=display(step.attempt.txid), reason=refusal.reason)
            self._decisions.refused(step, refusal)
        else:
            self._decisions.accepted(step)
        return True

    async def _prove(self, step: Prove) -> Final:
        """The proof is checked as a stranger would, before it is called one."""
        proof = await self._chain.prove(step.place, spv.SUCCESSORS)
        try:
            found = spv.check(proof, self._chain.network)
        except ReceiptError as error:
            raise ChainWrong("proof", str(error)) from None
        known = self._decisions.publishing[step.number]
        if (found.txid, found.block, found.committed) != (step.place.txid, step.place.block, known.committed):
            raise ChainWrong("proof", "one of the transaction and the block that were asked for")
        return Final(
            number=step.number,
            network=self._chain.network,
            txid=display(step.place.txid),
            height=step.place.height,
            block=display(step.place.block),
            proof=proof.encode(),
            at_ms=self._clock_ms(),
        )
