"""An anchor on a chain, as the tests drive it: a log in memory that can fail, a clock, and a kernel made of Python for many histories.

`MemoryKernel` takes any block that follows a known one: it stands in where thousands of chains are made. What Bitcoin's rules say is
tested on the real one.
"""

from collections.abc import Sequence
from copy import copy
from functools import lru_cache
from hashlib import sha256

from anchor.bitcoin.block import parse_block
from anchor.bitcoin.chain import Chain
from anchor.bitcoin.decisions import Decisions, FeePolicy
from anchor.bitcoin.driver import Driver, Report
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.keys import Key
from anchor.bitcoin.publications import Publishing, Tip
from anchor.receipt.bitcoin import spv
from anchor.receipt.bitcoin.header import HEADER_BYTES, Header
from anchor.receipt.bitcoin.transaction import Transaction, TxOut
from bus.messages.publication import Final, Publication, Root

KEY = Key(sha256(b"a key for tests").digest())
ORIGIN = "example.com/log"


def root(number: int, origin: str = ORIGIN) -> Root:
    """A state of a log, another one for each number."""
    return Root(origin=origin, size=number, root=sha256(b"%d" % number).digest())


class Crash(Exception):
    """The process ends here."""


class Anchor:
    """One anchor: its log, its chain, and as many lives as the test wants."""

    def __init__(self, chain: Chain, policy: FeePolicy | None = None) -> None:
        self.chain = chain
        self.policy = policy or FeePolicy()
        self.log: list[Publication] = []
        self.now_ms = 1_000_000
        self.crash_before = self.crash_after = False
        self.restart()

    def restart(self) -> None:
        """Begin anew from the log."""
        self.crash_before = self.crash_after = False
        self.publishing = Publishing()
        for record in self.log:
            self.publishing.fold(record)
        decisions = Decisions(self.publishing, self.policy, self.chain.name)
        self.driver = Driver(self.chain, decisions, self._write, lambda: self.now_ms)

    async def _write(self, record: Publication) -> None:
        if self.crash_before:
            raise Crash
        self.log.append(record)
        if self.crash_after:
            raise Crash
        self.publishing.fold(record)

    async def round(self, *wanted: Root) -> Report:
        """One round."""
        return await self.driver.round(wanted)

    def kinds(self, number: int = 1) -> str:
        """What the log says of a number, in short."""
        return " ".join(type(record).__name__.lower() for record in self.log if record.number == number)

    def status(self, number: int = 1) -> str:
        """Where a number is."""
        return self.publishing[number].status

    def proof(self, number: int = 1) -> spv.Confirmation:
        """The last proof of a number, checked as a stranger would."""
        finals = [record for record in self.log if isinstance(record, Final) and record.number == number]
        return spv.check(spv.SpvProof.decode(finals[-1].proof), self.chain.network)

    def txids(self, number: int = 1) -> list[bytes]:
        """All transactions of a number."""
        return [attempt.txid for attempt in self.publishing[number].attempts]


def published(chain: EmbeddedChain) -> dict[bytes, int]:
    """How often each commitment stands in the present chain."""
    found: dict[bytes, int] = {}
    for height in range(1, chain.kernel.tip.height + 1):
        raw = chain.kernel.block(chain.kernel.hash_at(height) or b"")
        for committed in commitments(raw or b""):
            found[committed] = found.get(committed, 0) + 1
    return found


@lru_cache(maxsize=4096)
def commitments(raw: bytes) -> Sequence[bytes]:
    """What a block publishes."""
    return [spv.committed_by(tx) for tx in parse_block(raw).transactions[1:]]


class MemoryKernel:
    """Blocks by hash, and the longest branch, first seen first."""

    def __init__(self) -> None:
        genesis = Header(1, bytes(32), bytes(32), 0, 0x207F_FFFF, 0)
        self._headers = {genesis.hash: (genesis, 0)}
        self._raw: dict[bytes, bytes] = {}
        self._chain = [genesis.hash]

    def copy(self) -> "MemoryKernel":
        """Another one, with the same blocks."""
        other = MemoryKernel()
        other._headers, other._raw, other._chain = copy(self._headers), copy(self._raw), copy(self._chain)
        return other

    @property
    def tip(self) -> Tip:
        """As `Kernel.tip`."""
        return Tip(len(self._chain) - 1, self._chain[-1])

    def hash_at(self, height: int) -> bytes | None:
        """As `Kernel.hash_at`."""
        return self._chain[height] if 0 <= height < len(self._chain) else None

    def height_of(self, block: bytes) -> int | None:
        """As `Kernel.height_of`."""
        return self._headers[block][1] if block in self._headers else None

    def parent(self, block: bytes) -> bytes | None:
        """As `Kernel.parent`."""
        header, height = self._headers[block]
        return header.previous if height else None

    def header(self, block: bytes) -> Header:
        """As `Kernel.header`."""
        return self._headers[block][0]

    def block(self, name: bytes) -> bytes | None:
        """As `Kernel.block`."""
        return self._raw.get(name)

    def process(self, raw: bytes) -> None:
        """As `Kernel.process`, of a block that follows a known one."""
        header = Header.parse(raw[:HEADER_BYTES])
        height = self._headers[header.previous][1] + 1
        self._headers[header.hash] = header, height
        self._raw[header.hash] = raw
        if height >= len(self._chain):
            branch = [header.hash]
            while (name := self._headers[branch[-1]][0].previous) not in self._chain:
                branch.append(name)
            del self._chain[self._chain.index(name) + 1 :]
            self._chain += reversed(branch)

    def check_scripts(self, tx: Transaction, spent: list[TxOut]) -> None:
        """Nothing but the number of coins."""
        assert len(tx.inputs) == len(spent)


class NoJournal:
    """Keeps nothing."""

    def append(self, block: bytes) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""


_BEGUN: list[MemoryKernel] = []


async def model_chain() -> EmbeddedChain:
    """A chain without Bitcoin's rules, that lives in memory; its first blocks are the same for all."""
    kernel = _BEGUN[0].copy() if _BEGUN else MemoryKernel()
    chain = EmbeddedChain(kernel, NoJournal(), KEY)
    await chain.begin()
    if not _BEGUN:
        _BEGUN.append(kernel.copy())
    return chain
