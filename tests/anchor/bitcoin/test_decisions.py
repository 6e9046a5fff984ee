"""Whatever the chain does, and whenever the process ends: no publication is lost or doubled, and the caps hold."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from anchor.bitcoin.chain import Request
from anchor.bitcoin.decisions import FeePolicy
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.errors import ChainUnavailable, InvalidTransition, TxRefused, WalletError
from anchor.bitcoin.publications import DAY_MS, Publishing, Tip, committed
from anchor.receipt.bitcoin.transaction import parse_transaction
from bus.messages.publication import Broadcast, Built, Final, Mined, Publication, Reorged, Stranded
from tests.anchor.bitcoin.bench import Anchor, Crash, model_chain, published, root

POLICY = FeePolicy(per_anchor_sat=2000, per_day_sat=2500)
EVENTS = st.one_of(
    st.tuples(st.just("mine"), st.integers(1, 8)),
    st.tuples(st.just("mine"), st.integers(1, 8)),
    st.tuples(st.just("reorg"), st.integers(1, 12)),
    st.tuples(st.just("vanish"), st.integers(1, 12)),
    st.tuples(st.just("evict"), st.integers(0, 3)),
    st.tuples(st.just("fees"), st.sampled_from([None, 1.0, 2.0, 8.0, 40.0])),
    st.tuples(st.just("floor"), st.sampled_from([1.0, 3.0])),
    st.tuples(st.just("older"), st.just(0)),
    st.tuples(st.just("rival"), st.just(0)),
    st.tuples(st.just("crash"), st.booleans()),
    st.tuples(st.just("down"), st.just(0)),
    st.tuples(st.just("hours"), st.integers(1, 12)),
    st.tuples(st.just("round"), st.just(0)),
    st.tuples(st.just("want"), st.just(0)),
    st.tuples(st.just("want"), st.just(0)),
)


class History:
    """One history of a chain and an anchor on it."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self.chain = chain
        self.anchor = Anchor(chain, POLICY)
        self.held: dict[int, Exception] = {}
        self.wanted = 0
        self.acts: dict[str, Callable[[object], Awaitable[None]]] = {
            name: getattr(self, f"_{name}")
            for name in ("mine", "reorg", "vanish", "evict", "fees", "floor", "older", "rival", "crash", "down", "hours", "want")
        }  # fmt: skip

    async def play(self, event: tuple[str, object]) -> None:
        """One event, then what the anchor makes of it."""
        name, much = event
        if name in self.acts:
            await self.acts[name](much)
        await self._round()
        self.check()

    async def _round(self) -> None:
        wanted = (root(self.wanted),) if self._is_new() else ()
        try:
            self.held = (await self.anchor.round(*wanted)).held
        except Crash:
            self.anchor.restart()

    def _is_new(self) -> bool:
        built = [record for record in self.anchor.log if isinstance(record, Built) and record.roots]
        return self.wanted > (built[-1].roots[0].size if built else 0)

    async def _want(self, _: object) -> None:
        self.wanted += 1

    async def _mine(self, count: int) -> None:
        await self.chain.mine(count)

    async def _reorg(self, depth: int) -> None:
        await self._branch(depth, empty=False)

    async def _vanish(self, depth: int) -> None:
        """A reorganisation after which the node remembers nothing."""
        await self._branch(depth, empty=True)
        for txid in self._ours():
            self.chain.mempool.drop(txid)

    async def _branch(self, depth: int, *, empty: bool) -> None:
        # Not below the coins of the beginning: how those are replaced takes a hundred blocks, and is tested alone.
        height = max(101, self.chain.kernel.tip.height - depth)
        count = self.chain.kernel.tip.height - height + 1
        await self.chain.mine(count, on=Tip(height, self.chain.kernel.hash_at(height)), empty=empty)

    def _ours(self) -> list[bytes]:
        return [attempt.txid for each in self.anchor.publishing for attempt in each.attempts]

    async def _evict(self, which: int) -> None:
        for txid in self._ours()[-1 - which :][:1]:
            self.chain.mempool.drop(txid)

    async def _fees(self, rate: float | None) -> None:
        self.chain.estimate_sat_vb = rate

    async def _floor(self, rate: float) -> None:
        self.chain.mempool.raise_floor(rate)

    async def _older(self, _: object) -> None:
        """The node has another one of the transactions than the newest."""
        for each in self.anchor.publishing:
            if each.is_open and len(each.current) > 1:
                for attempt in each.current:
                    self.chain.mempool.drop(attempt.txid)
                try:
                    self.chain.mempool.accept(each.current[0].tx)
                except TxRefused as refusal:
                    note(f"older: {refusal}")

    async def _rival(self, _: object) -> None:
        """Somebody else with the key spends the coin of what is open."""
        coins = {each.spends for each in self.anchor.publishing if each.is_open}
        for coin in coins:
            request = Request(number=0, committed=bytes(32), rate=60.0, max_fee_sat=10**6, spends=coin)
            try:
                await self.chain.send((await self.chain.draft(request)).tx)
            except (TxRefused, WalletError) as error:
                note(f"rival: {error}")

    async def _crash(self, before: bool) -> None:  # noqa: FBT001 -- an event's argument
        self.anchor.crash_before, self.anchor.crash_after = before, not before

    async def _down(self, _: object) -> None:
        """The node does not answer, and the process is restarted meanwhile."""
        look = self.chain.look

        async def unavailable(_: object) -> None:
            raise ChainUnavailable("nobody listens")

        self.chain.look = unavailable
        with pytest.raises(ChainUnavailable):
            await self.anchor.round()
        self.chain.look = look
        self.anchor.restart()

    async def _hours(self, many: int) -> None:
        self.anchor.now_ms += many * 3_600_000

    def check(self) -> None:
        """What must hold at every moment."""
        found = published(self.chain)
        found.pop(bytes(32), None)
        assert all(count == 1 for count in found.values()), found
        built = [record for record in self.anchor.log if isinstance(record, Built)]
        assert set(found) <= {committed(record.roots) for record in built if record.roots}
        for each in self.anchor.publishing:
            assert each.exposure_sat <= self.anchor.policy.per_anchor_sat
        for record in built:
            assert spent_in_a_day(built, record.at_ms) <= self.anchor.policy.per_day_sat

    async def settle(self) -> None:
        """Quiet times: everything comes to its end."""
        self.anchor.crash_before = self.anchor.crash_after = False
        self.chain.estimate_sat_vb = 1.0
        self.chain.mempool.raise_floor(1.0)
        await self._days(16)
        if self.held:
            # A coin that others spent may have cost the whole cap, in the worst case: then a person must raise it.
            assert all("per_anchor_sat" in str(error) for error in self.held.values()), self.held
            self.anchor.policy = replace(POLICY, per_anchor_sat=2 * POLICY.per_anchor_sat)
            self.anchor.restart()
            await self._days(16)

    async def _days(self, many: int) -> None:
        for _ in range(many):
            self.anchor.now_ms += DAY_MS + 1
            await self._round()
            self.check()
            await self.chain.mine(2)
        await self._round()


def spent_in_a_day(built: list[Built], until_ms: int) -> int:
    """By how much the worst case grew in the day before: of the transactions that spend one coin the dearest counts."""
    dearest: dict[tuple[int, str], int] = {}
    grown = 0
    for record in built:
        key = record.number, record.spends
        more = max(0, record.fee_sat - dearest.get(key, 0))
        dearest[key] = max(dearest.get(key, 0), record.fee_sat)
        if until_ms - DAY_MS < record.at_ms <= until_ms:
            grown += more
    return grown


@given(st.lists(EVENTS, min_size=1, max_size=25))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_history_loses_or_doubles_a_publication_or_breaks_a_cap(events: list[tuple[str, object]]) -> None:
    """Reorganisations, evictions, fee spikes, rivals, crashes and nodes that are down, in any order."""

    async def play() -> None:
        history = History(await model_chain())
        for event in events:
            await history.play(event)
        await history.settle()
        statuses = [each.status for each in history.anchor.publishing]
        assert statuses == ["final"] * len(statuses), history.anchor.publishing
        built = {
            committed(record.roots)
            for record in history.anchor.log
            if isinstance(record, Built) and record.roots
        }
        found = published(history.chain)
        assert built == set(found) - {bytes(32)}
        refolded = Publishing()
        for record in history.anchor.log:
            refolded.fold(record)
        assert repr(refolded) == repr(history.anchor.publishing)

    asyncio.run(play())


async def of_a_real_history() -> list[Publication]:
    """Records of one publication that was replaced, reorganised and final."""
    chain = await model_chain()
    anchor = Anchor(chain)
    await anchor.round(root(1))
    chain.estimate_sat_vb = 9.0
    await chain.mine(3, empty=True)
    await anchor.round()
    await chain.mine()
    await anchor.round()
    await chain.mine(2, on=Tip(104, chain.kernel.hash_at(104)), empty=True)
    await anchor.round()
    await chain.mine(7)
    await anchor.round()
    return anchor.log


async def test_a_record_that_cannot_follow_is_refused_and_changes_nothing() -> None:
    """Each record of a history, put anywhere else, is either harmless or refused by name."""
    records = await of_a_real_history()
    assert [type(record) for record in records] == [Built, Broadcast, Built, Mined, Reorged, Mined, Final]
    refused = []
    for place in range(len(records)):
        for record in records:
            publishing = Publishing()
            for before in records[:place]:
                publishing.fold(before)
            said = repr(publishing), publishing.spent_since(0)
            try:
                publishing.fold(record)
            except InvalidTransition as error:
                refused.append(str(error))
                assert (repr(publishing), publishing.spent_since(0)) == said
    assert len(refused) >= 25
    assert all("publication 1" in why or "number 1" in why or "roots: " in why for why in refused)


async def test_a_record_about_another_transaction_is_refused() -> None:
    """Another commitment, another id, another coin."""
    first, _, second, *_ = await of_a_real_history()
    other = parse_transaction(second.tx)
    for changed, why in (
        ({"txid": "00" * 32}, "not the one described"),
        ({"spends": f"{'00' * 32}:0"}, "not the one described"),
        ({"roots": (root(2),)}, "publishes something else"),
        ({"roots": ()}, "roots: "),
        ({"tx": other.encode()[:-1]}, "it ends after"),
        ({"number": 2}, "number 2 is built where 1 is next"),
    ):
        with pytest.raises(InvalidTransition, match=why):
            Publishing().fold(
                type(first)(**{name: getattr(first, name) for name in first.__struct_fields__} | changed)
            )


async def test_a_publication_is_stranded_only_while_it_is_open() -> None:
    """What is in a block is not given up."""
    records = await of_a_real_history()
    publishing = Publishing()
    for record in records:
        publishing.fold(record)

    with pytest.raises(InvalidTransition, match="is final, and stranded"):
        publishing.fold(Stranded(number=1, reason="spent", at_ms=1))
    with pytest.raises(InvalidTransition, match="publication 7 was never built"):
        publishing.fold(Stranded(number=7, reason="spent", at_ms=1))
