"""What to do next: from the publications and a look at the chain to records and actions. Pure; the time is given.

Guarantees, for whoever does what it says and writes records before acting on them:
- A transaction is shown to a node only when it is in the log; what is asked for here is built first and sent in a later round.
- There is one publication at a time that is not mined, so a new one never rests on an unconfirmed coin; after a reorganisation several wait, each
  with its own coin, and are sent again oldest first.
- A replacement spends the coin of what it replaces. Another coin is taken only when that one is certainly lost: spent by
  others `SETTLED` blocks deep, or not there for `GONE` blocks.
- No request exceeds what the caps leave; where that is too little, `Hold` names the cap and nothing is signed.

A publication on which a later, unmined one rests is not replaced: that would orphan the later one. The later one is replaced instead,
and pays for both (child pays for parent).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from anchor.bitcoin.chain import Draft, Request, View, Watch
from anchor.bitcoin.errors import ChainWrong, FeeCapReached, TxRefused
from anchor.bitcoin.publications import DAY_MS, Attempt, Open, Place, Publishing, Tip, committed
from anchor.receipt.bitcoin.encoding import display
from anchor.receipt.bitcoin.spv import SUCCESSORS, committed_by
from anchor.receipt.bitcoin.transaction import Outpoint
from anchor.receipt.errors import ReceiptError
from bus.messages.publication import Broadcast, Built, Mined, Publication, Reorged, Root, Stranded

__all__ = ["GONE", "SETTLED", "Build", "Decisions", "FeePolicy", "Hold", "Prove", "Send", "Step", "Write"]

SETTLED = 6
"""Blocks on a foreign transaction before the coin that it spent is given up."""
GONE = 100
"""Blocks for which a coin must not exist before it is given up: what made it may be mined again, after a reorganisation."""
_TRIES = 3
"""Replacements for one tip: a node that finds every fee too low must not drive it up to the cap at once."""
_RELAY_SAT_VB = 1.0
"""What a replacement pays for its own relay on top of what it replaces (BIP 125, rule 4; Bitcoin Core's default)."""
_STEP_UP = 1.5
_TYPICAL_VBYTES = 165
"""A transaction with one input, a commitment and change, all of P2WPKH: 154 virtual bytes, and some room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePolicy:
    """What may be paid: satoshis for one publication and within 24 hours, satoshis a virtual byte.

    `fallback_sat_vb` is for a node that has no estimate, `floor_sat_vb` the least. After `patience` blocks a transaction is replaced by a dearer one.
    """

    per_anchor_sat: int = 20_000
    per_day_sat: int = 200_000
    fallback_sat_vb: float = 2.0
    floor_sat_vb: float = 1.0
    patience: int = 3


@dataclass(frozen=True, slots=True)
class Write:
    """Write this record; it is true already."""

    record: Publication


@dataclass(frozen=True, slots=True)
class Build:
    """Have this transaction made, and write the record that `Decisions.built` makes of it; `roots` only for a new number."""

    request: Request
    roots: tuple[Root, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """Give this transaction, which is in the log, to the node; report `accepted` or `refused`."""

    number: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Prove:
    """Fetch the proof that this is final, and write the record."""

    number: int
    place: Place


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing can be done for this number now; `error` tells a person why."""

    number: int
    error: Exception


type Step = Write | Build | Send | Prove | Hold


class Decisions:
    """One anchor's, on the chain called `chain`. It also remembers what the node said since the tip changed, which is in no log."""

    def __init__(self, publishing: Publishing, policy: FeePolicy, chain: str) -> None:
        self.publishing = publishing
        self.policy = policy
        self.chain = chain
        self._refused: dict[bytes, TxRefused] = {}
        self._accepted: set[bytes] = set()
        self._missing_since: dict[Outpoint, int] = {}
        self._heard_at: bytes = b""

    def watch(self) -> Watch:
        """What the chain is to be asked."""
        here = [each for each in self.publishing if each.chain == self.chain]
        unmined = [each for each in here if each.is_open]
        return Watch(
            txids=frozenset(attempt.txid for each in here for attempt in each.attempts),
            waiting=frozenset(attempt.txid for each in unmined for attempt in each.attempts),
            final=frozenset(each.place.txid for each in here if each.place and each.status == "final"),
            places=tuple(each.place for each in here if each.place is not None),
            spends=frozenset(each.spends for each in unmined),
            since=min((each.since for each in unmined), default=None),
        )

    def decide(self, view: View, wanted: Sequence[Root], now_ms: int) -> list[Step]:
        """What to do, in order, with `wanted` for the next publication where there is anything new; do it all, then look again.

        An empty list, or one of `Hold`s, says that there is nothing to do before the chain changes.
        """
        if view.tip.block != self._heard_at:
            self._heard_at, self._refused, self._accepted = view.tip.block, {}, set()
        self._notice_missing(view)
        steps: list[Step] = []
        for each in self.publishing:
            step = self._follow(each, view, now_ms)
            # One at a time: what the next one may spend is known when this one is in the log.
            is_second = isinstance(step, Build) and any(isinstance(other, Build) for other in steps)
            if step is not None and not is_second:
                steps.append(step)
        # First let the log say what the chain says: what is built before would rest on a coin that another one spends.
        if writes := [step for step in steps if isinstance(step, Write)]:
            return list(writes)
        if wanted and not any(each.is_open for each in self.publishing):
            steps.append(self._first(view, tuple(wanted), now_ms))
        return steps

    def built(self, step: Build, draft: Draft, tip: Tip, now_ms: int) -> Built:
        """The record for a transaction that the wallet made; raises `ChainWrong` where it is not what was asked for."""
        request = step.request
        inputs = [entry.spends for entry in draft.tx.inputs]
        self._examine(request, draft, inputs)
        return Built(
            number=request.number,
            chain=self.chain,
            txid=display(draft.tx.txid),
            tx=draft.tx.encode(),
            spends=str(request.spends or inputs[0]),
            fee_sat=draft.fee_sat,
            height=tip.height,
            block=display(tip.block),
            at_ms=now_ms,
            roots=step.roots,
        )

    def accepted(self, step: Send) -> None:
        """The node took it: the next look should find it."""
        self._accepted.add(step.attempt.txid)

    def refused(self, step: Send, error: TxRefused) -> None:
        """The node did not take it: remembered until the tip changes, so that it is not asked again and again."""
        self._refused[step.attempt.txid] = error

    @staticmethod
    def _examine(request: Request, draft: Draft, inputs: list[Outpoint]) -> None:
        try:
            published = committed_by(draft.tx)
        except ReceiptError as error:
            raise ChainWrong("tx.outputs", str(error)) from None
        if published != request.committed:
            raise ChainWrong("tx.outputs", "the commitment that was asked for, and no other")
        if not request.min_fee_sat <= draft.fee_sat <= request.max_fee_sat:
            limit = f"{request.min_fee_sat} to {request.max_fee_sat} satoshis, not {draft.fee_sat}"
            raise ChainWrong("tx.fee", limit)
        if (request.spends and request.spends not in inputs) or request.avoid.intersection(inputs):
            raise ChainWrong("tx.inputs", "the coin that was asked for, and none that another one spends")

    def _follow(self, each: Open, view: View, now_ms: int) -> Step | None:
        """The next step for one publication."""
        if each.chain != self.chain:
            return self._left_behind(each, view, now_ms)
        mined = next((view.mined[it.txid] for it in each.attempts if it.txid in view.mined), None)
        if each.place is not None and mined != each.place:
            return Write(_about(Reorged, each, each.place, now_ms))
        if mined is not None and each.place is None:
            return Write(_about(Mined, each, mined, now_ms))
        if mined is not None:
            ripe = each.status == "mined" and view.tip.height - mined.height >= SUCCESSORS
            return Prove(each.number, mined) if ripe else None
        if each.status == "stranded":
            return self._again(each, view, now_ms)
        return self._lost(each, view, now_ms) or self._push(each, view, now_ms)

    def _left_behind(self, each: Open, view: View, now_ms: int) -> Step | None:
        """One that was built for another chain: what is final there stays so, the rest begins anew on this one."""
        if each.status == "final":
            return None
        if each.status == "stranded":
            return self._again(each, view, now_ms)
        return Write(Stranded(number=each.number, reason="chain", at_ms=now_ms))

    def _lost(self, each: Open, view: View, now_ms: int) -> Step | None:
        """A record, if the coin is certainly lost."""
        spender = view.spent.get(each.spends)
        if spender and view.tip.height - spender.height >= SETTLED:
            by = display(spender.txid)
            return Write(Stranded(number=each.number, reason="spent", by=by, at_ms=now_ms))
        since = self._missing_since.get(each.spends)
        if since is not None and view.tip.height - since >= GONE:
            return Write(Stranded(number=each.number, reason="missing", at_ms=now_ms))
        return None

    def _notice_missing(self, view: View) -> None:
        made_here = {attempt.txid for each in self.publishing if each.is_open for attempt in each.current}
        gone = {coin for coin in view.missing if coin.txid not in made_here}
        self._missing_since = {coin: self._missing_since.get(coin, view.tip.height) for coin in gone}

    def _push(self, each: Open, view: View, now_ms: int) -> Step | None:
        """Into the mempool, and through it."""
        chosen = self._chosen(each)
        if chosen.txid in view.pooled:
            self._accepted.discard(chosen.txid)
            return self._wait(each, chosen, view, now_ms)
        refusal = self._refused.get(chosen.txid)
        if refusal is not None:
            return self._answer(each, refusal, view, now_ms)
        if chosen.txid in self._accepted:
            return Hold(each.number, TxRefused("it was taken, and is not in the mempool"))
        return Send(each.number, chosen)

    def _wait(self, each: Open, chosen: Attempt, view: View, now_ms: int) -> Step | None:
        if each.status == "built":
            return Write(Broadcast(number=each.number, txid=display(chosen.txid), at_ms=now_ms))
        if view.tip.height - chosen.height >= self.policy.patience and self._is_underpaid(chosen, view):
            return self._replace(each, view, now_ms)
        return None

    def _answer(self, each: Open, refusal: TxRefused, view: View, now_ms: int) -> Step | None:
        """To a refusal: more, where that may help; else it is told, unless an earlier transaction waits in the mempool."""
        tries = sum(attempt.height == view.tip.height for attempt in each.current)
        if refusal.fee and tries < _TRIES:
            return self._replace(each, view, now_ms) or Hold(each.number, refusal)
        covered = any(attempt.txid in view.pooled for attempt in each.current)
        return None if covered else Hold(each.number, refusal)

    def _chosen(self, each: Open) -> Attempt:
        """The transaction that should be in the mempool: the newest, unless another publication rests on an older one."""
        needed = {other.spends.txid for other in self.publishing if other.is_open}
        return next((attempt for attempt in each.current if attempt.txid in needed), each.newest)

    def _is_underpaid(self, newest: Attempt, view: View) -> bool:
        return view.rate is None or view.rate > newest.rate

    def _replace(self, each: Open, view: View, now_ms: int) -> Step | None:
        newest, attempts = each.newest, {attempt.txid for attempt in each.current}
        if any(other.spends.txid in attempts for other in self.publishing if other.is_open):
            return None
        dearest = max(attempt.fee_sat for attempt in each.current)
        least = dearest + int(newest.tx.vsize * _RELAY_SAT_VB) + 1
        rate = max(view.rate or 0.0, newest.rate * _STEP_UP)
        return self._build(each, (), Ask(rate, least, dearest), now_ms)

    def _again(self, each: Open, view: View, now_ms: int) -> Step:
        """After the coin was lost: another one."""
        return self._build(each, (), Ask(self._rate(view)), now_ms, fresh=True)

    def _first(self, view: View, roots: tuple[Root, ...], now_ms: int) -> Step:
        return self._build(None, roots, Ask(self._rate(view)), now_ms)

    def _rate(self, view: View) -> float:
        return max(self.policy.floor_sat_vb, view.rate or self.policy.fallback_sat_vb)

    def _build(
        self, each: Open | None, roots: tuple[Root, ...], ask: "Ask", now_ms: int, *, fresh: bool = False
    ) -> Step:
        number = each.number if each else self.publishing.next_number
        other = each.exposure_sat - ask.replaced_sat if each else 0
        today = self.publishing.spent_since(now_ms - DAY_MS)
        least = max(ask.least_sat, int(ask.rate * _TYPICAL_VBYTES) if not ask.replaced_sat else 0)
        for setting, most in (
            ("per_anchor_sat", self.policy.per_anchor_sat - other),
            ("per_day_sat", self.policy.per_day_sat - today + ask.replaced_sat),
        ):
            if least > most:
                said = f"{least} satoshis are asked for, {max(most, 0)} are left of the cap"
                return Hold(number, FeeCapReached(setting, f"{said}: wait for lower fees, or raise it"))
        most = min(self.policy.per_anchor_sat - other, self.policy.per_day_sat - today + ask.replaced_sat)
        spends = None if fresh or each is None else each.spends
        return Build(
            Request(
                number=number,
                committed=each.committed if each else committed(roots),
                rate=ask.rate,
                min_fee_sat=ask.least_sat,
                max_fee_sat=most,
                spends=spends,
                spends_sat=self._value(spends),
                avoid=self._avoid(number),
            ),
            roots,
        )

    def _value(self, coin: Outpoint | None) -> int | None:
        """The value of a coin that one of our own transactions made."""
        for each in self.publishing:
            for attempt in each.attempts:
                if coin is not None and attempt.txid == coin.txid:
                    return attempt.tx.outputs[coin.vout].value
        return None

    def _avoid(self, number: int) -> frozenset[Outpoint]:
        return frozenset(
            entry.spends
            for each in self.publishing
            if each.is_open and each.number != number
            for attempt in each.attempts
            for entry in attempt.tx.inputs
        )


@dataclass(frozen=True, slots=True)
class Ask:
    """What a transaction should pay: a rate, at least so much, and how much of that a predecessor that it excludes would have paid anyway."""

    rate: float
    least_sat: int = 0
    replaced_sat: int = 0


def _about[T: (Mined, Reorged)](kind: type[T], each: Open, place: Place, now_ms: int) -> T:
    return kind(
        number=each.number,
        txid=display(place.txid),
        height=place.height,
        block=display(place.block),
        at_ms=now_ms,
    )
