"""The embedded chain as a `Chain`: kernel, journal, mempool, miner and wallet put together.

Guarantees that it comes back as it was after any end of the process: a block is in the journal before anybody learns of it. What waited in the mempool
is gone then, as in any node; whoever sent it sends it again. One process alone can have a chain open.
"""

import asyncio
import secrets
import time
from pathlib import Path

import structlog

from anchor.bitcoin.block import Block, parse_block
from anchor.bitcoin.chain import Draft, Network, Request, View, Watch
from anchor.bitcoin.embedded.journal import Journal
from anchor.bitcoin.embedded.kernel import BlockInvalid, Kernel
from anchor.bitcoin.embedded.lock import FolderLock
from anchor.bitcoin.embedded.mempool import Mempool
from anchor.bitcoin.embedded.miner import assemble
from anchor.bitcoin.errors import ChainWrong, StoreUnusable, TxRefused
from anchor.bitcoin.follower import MATURITY
from anchor.bitcoin.keys import Key
from anchor.bitcoin.paying import pay
from anchor.bitcoin.publications import Place, Tip
from anchor.bitcoin.scanner import Scanner
from anchor.receipt.bitcoin import spv
from anchor.receipt.bitcoin.encoding import display
from anchor.receipt.bitcoin.header import HEADER_BYTES, Header
from anchor.receipt.bitcoin.transaction import Outpoint, Transaction, TxOut

__all__ = ["EmbeddedChain"]

_MEDIAN_BLOCKS = 11
_NOBODY = Watch()

_log = structlog.get_logger("anchor.bitcoin")


class EmbeddedChain:
    """A regression test chain in `folder`, with a block every `block_every_s` while anything waits for one; use `open`."""

    network: Network = "regtest"

    def __init__(
        self,
        kernel: Kernel,
        journal: Journal,
        key: Key,
        *,
        folder: FolderLock | None = None,
        snapshot: Path | None = None,
        block_every_s: float = 3.0,
    ) -> None:
        self.kernel, self._journal, self.key, self._every_s = kernel, journal, key, block_every_s
        self._folder = folder
        self._lock = asyncio.Lock()
        self.scanner = Scanner(_KernelSource(kernel), script=key.script, birth=0, snapshot=snapshot)
        self.mempool = Mempool(self._coin, kernel.check_scripts)
        self.estimate_sat_vb: float | None = 1.0
        self._watch = _NOBODY
        self.name = ""

    def __repr__(self) -> str:
        """How far, and what waits."""
        return f"EmbeddedChain({self.name}, at {self.kernel.tip.height}, {self.mempool!r})"

    @classmethod
    async def open(cls, folder: Path, *, block_every_s: float = 3.0) -> "EmbeddedChain":
        """Open the chain, or begin one with coins that can be spent; raises `StoreUnusable`."""
        opening = asyncio.ensure_future(asyncio.to_thread(cls._from, folder, block_every_s))
        try:
            chain = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on: what it opened would stay open.
            await (await opening).close()
            raise
        try:
            await chain.begin()
        except BaseException:
            await chain.close()
            raise
        return chain

    @classmethod
    def _from(cls, folder: Path, block_every_s: float) -> "EmbeddedChain":
        lock = FolderLock(folder)
        try:
            key, journal = Key.load(folder / "wallet.key"), Journal(folder / "journal")
            kernel = Kernel(folder / "kernel")
            _replay(journal, kernel)
        except BaseException:
            lock.release()
            raise
        snapshot = folder / "coins.json"
        return cls(kernel, journal, key, folder=lock, snapshot=snapshot, block_every_s=block_every_s)

    async def begin(self) -> None:
        """Read what there is; mine the first coins where there is nothing."""
        await self.scanner.advance(_NOBODY)
        if self.kernel.tip.height <= MATURITY:
            await self.mine(MATURITY + 1 - self.kernel.tip.height)
        self.name = f"regtest:{display(self.kernel.hash_at(1) or b'')[:16]}"
        _log.info("embedded chain", name=self.name, height=self.kernel.tip.height)

    async def close(self) -> None:
        """Write everything, and let go of the files."""
        async with self._lock:
            self.scanner.save()
            self._journal.close()
            self.kernel.close()
            if self._folder is not None:
                self._folder.release()

    async def work(self) -> None:
        """Mine, for ever: one block each interval, while anything waits for one."""
        while True:
            await asyncio.sleep(self._every_s)
            if self._is_waited_for():
                await self.mine()

    async def look(self, watch: Watch) -> View:
        """What the chain holds now."""
        async with self._lock:
            self._watch = watch
            follower = await self.scanner.advance(watch)
            spent = follower.spenders(watch.spends)
            return View(
                tip=follower.tip,
                mined=dict(follower.mined),
                pooled=frozenset(txid for txid in watch.waiting if txid in self.mempool),
                spent=spent,
                missing=frozenset(
                    coin
                    for coin in watch.spends
                    if coin not in spent and coin not in follower.coins and coin.txid not in self.mempool
                ),
                rate=self.estimate_sat_vb,
            )

    async def draft(self, request: Request) -> Draft:
        """A signed transaction that pays with the miner's coins."""
        async with self._lock:
            follower = await self.scanner.advance(self._watch)
            return pay(request, follower.spendable(), self.key)

    async def send(self, tx: Transaction) -> None:
        """Into the mempool; raises `TxRefused`."""
        async with self._lock:
            await self.scanner.advance(self._watch)
            self.mempool.accept(tx)

    async def prove(self, place: Place, successors: int) -> spv.SpvProof:
        """The proof that a transaction is there; raises `ChainWrong` where it is not."""
        async with self._lock:
            names = [self.kernel.hash_at(place.height + step) for step in range(1 + successors)]
            raw = self.kernel.block(place.block)
            if names[0] != place.block or None in names or raw is None:
                raise ChainWrong("block", f"{display(place.block)} with {successors} blocks on top")
            block = parse_block(raw)
            headers = [self.kernel.header(name) for name in names if name is not None]
            return spv.make(block.transactions, place.txid, headers)

    async def mine(self, count: int = 1, *, on: Tip | None = None, empty: bool = False) -> Tip:
        """Mine so many blocks, after the tip or after another block (which makes a branch); returns the last of them.

        Where a branch becomes the longest, what was mined on the other one waits again, as in any node.
        """
        async with self._lock:
            for _ in range(count):
                on = await self._mine_one(on or self.kernel.tip, empty=empty)
            await asyncio.to_thread(self._journal.sync)
            assert on is not None  # noqa: S101 -- a count is at least one
            return on

    def _is_waited_for(self) -> bool:
        top = max((place.height for place in self._watch.places), default=-spv.SUCCESSORS)
        return bool(len(self.mempool) or self._watch.spends or self.kernel.tip.height < top + spv.SUCCESSORS)

    async def _mine_one(self, before: Tip, *, empty: bool) -> Tip:
        old = self.kernel.tip
        waiting = [] if empty or before != old else self.mempool.next_block()
        block = assemble(
            before,
            [each.tx for each in waiting],
            time_s=max(int(time.time()), self._median_time(before.block) + 1),
            script=self.key.script,
            fees_sat=sum(each.fee_sat for each in waiting),
            mark=secrets.token_bytes(8),
        )
        self._store(block)
        await self.scanner.advance(self._watch)
        if self.kernel.tip.block == block.header.hash and before != old:
            self._take_back(old)
        self.mempool.revise()
        return Tip(before.height + 1, block.header.hash)

    def _store(self, block: Block) -> None:
        raw = block.encode()
        self._journal.append(raw)
        try:
            self.kernel.process(raw)
        except BlockInvalid as error:
            raise StoreUnusable(f"Bitcoin's rules refuse a block of our own miner: {error}") from None

    def _take_back(self, tip: Tip) -> None:
        """What was mined on a branch that lost waits again."""
        name, height, lost = tip.block, tip.height, []
        while self.kernel.hash_at(height) != name:
            lost.append(parse_block(self.kernel.block(name) or b""))
            name, height = lost[-1].header.previous, height - 1
        for block in reversed(lost):
            for tx in block.transactions[1:]:
                try:
                    self.mempool.accept(tx)
                except TxRefused as refusal:
                    _log.debug("not taken back", txid=display(tx.txid), reason=refusal.reason)

    def _coin(self, coin: Outpoint) -> TxOut | None:
        follower = self.scanner.follower
        held = follower.spendable_at(coin) if follower else None
        return None if held is None else TxOut(held.value, self.key.script)

    def _median_time(self, name: bytes) -> int:
        """Of the last eleven blocks: a block's time must be later (consensus)."""
        times: list[int] = []
        at: bytes | None = name
        while at is not None and len(times) < _MEDIAN_BLOCKS:
            header = self.kernel.header(at)
            times.append(header.time_s)
            at = self.kernel.parent(at)
        return sorted(times)[len(times) // 2]


def _replay(journal: Journal, kernel: Kernel) -> None:
    """Feed to the kernel what it lost: it writes its files now and then, the journal has every block."""
    files = journal.files()
    start = 0
    for at in reversed(range(len(files))):
        first = next(journal.read(files[at]), b"")
        if first and kernel.height_of(Header.parse(first[:HEADER_BYTES]).hash) is not None:
            start = at
            break
    for number in files[start:]:
        for raw in journal.read(number):
            try:
                kernel.process(raw)
            except BlockInvalid as error:
                _log.warning("a block of the journal is refused", reason=str(error))


class _KernelSource:
    """The kernel's chain, to be read block by block."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def tip(self) -> Tip:
        return self._kernel.tip

    async def hash_at(self, height: int) -> bytes | None:
        return self._kernel.hash_at(height)

    async def block(self, name: bytes) -> Block:
        return parse_block(self._kernel.block(name) or b"")

    async def fork(self, tip: Tip) -> int:
        name: bytes | None = tip.block
        height = self._kernel.height_of(tip.block)
        while height is not None and name is not None and self._kernel.hash_at(height) != name:
            name, height = self._kernel.parent(name), height - 1
        return height or 0
