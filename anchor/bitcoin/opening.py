"""Which chain an anchor publishes on, as an operator says it, and what it may cost.

Guarantees that nothing is ever paid on Bitcoin's main chain unless the operator asked for it by name and set both caps; everything else is a chain whose coins are
worth nothing.

A chain is `embedded`, or a URL whose scheme says who is asked and who pays: `core+http://` Bitcoin Core with its own wallet,
`node+http://` any node, with a key of ours, `esplora+https://` a server that speaks Esplora's HTTP, with a key of ours.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anchor.bitcoin.chain import Chain, Network
from anchor.bitcoin.decisions import FeePolicy
from anchor.bitcoin.embedded.chain import EmbeddedChain
from anchor.bitcoin.keys import Key
from anchor.bitcoin.remote.core import CoreChain
from anchor.bitcoin.remote.esplora import EsploraChain
from anchor.bitcoin.remote.http import parse_url
from anchor.bitcoin.remote.node import NodeChain
from anchor.bitcoin.remote.rpc import Rpc
from anchor.errors import SettingsRefused
from anchor.receipt.bitcoin.header import EASIEST_BITS

__all__ = ["EMBEDDED", "ChainSettings", "WorkingChain", "open_chain"]

EMBEDDED = "embedded"
_KINDS = ("core", "node", "esplora")
_FREE = FeePolicy(per_anchor_sat=1_000_000, per_day_sat=10**12)
"""On the embedded chain: its coins come out of nothing."""
_DEFAULT = FeePolicy()
_MOST_S = 86_400.0


class WorkingChain(Chain, Protocol):
    """A chain that may have something to do by itself."""

    async def work(self) -> None:
        """Do it, until cancelled; returns at once where there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSettings:
    """`chain` as above, `folder` for its files and keys, `network` that of a remote chain, `cookie` a node's file with user and password.

    A state of the log is published every `every_s` (None: 5 s on the embedded chain, else an hour), or as soon as `count` more leaves are there
    (0: never for that). `max_fee_sat` bounds one publication, `max_fee_day_sat` what is paid in 24 hours (None: a default, but none on the main chain).
    Raises `SettingsRefused`.
    """

    folder: Path
    chain: str = EMBEDDED
    network: Network = "regtest"
    mainnet: bool = False
    cookie: Path | None = None
    every_s: float | None = None
    count: int = 0
    max_fee_sat: int | None = None
    max_fee_day_sat: int | None = None
    block_every_s: float = 2.0

    def __post_init__(self) -> None:
        if self.chain != EMBEDDED:
            self._check_remote()
        if self.every_s is not None and not 0 < self.every_s <= _MOST_S:
            raise SettingsRefused(
                "anchor_every", f"more than 0 and at most {_MOST_S:.0f} s, not {self.every_s:g}"
            )
        if self.count < 0:
            raise SettingsRefused("anchor_count", "0 or more")
        for setting, value in (("max_fee_sat", self.max_fee_sat), ("max_fee_day_sat", self.max_fee_day_sat)):
            if value is not None and value < 1:
                raise SettingsRefused(setting, "1 satoshi or more")

    def _check_remote(self) -> None:
        kind, plus, url = self.chain.partition("+")
        if kind not in _KINDS or not plus:
            raise SettingsRefused(
                "chain",
                f"embedded, or a URL that begins with {', '.join(f'{each}+' for each in _KINDS)}",
            )
        parse_url("chain", url)
        if self.network not in EASIEST_BITS:
            raise SettingsRefused("network", f"one of {', '.join(EASIEST_BITS)}")
        if self.network != "main":
            return
        if not self.mainnet:
            raise SettingsRefused(
                "mainnet", "must be set for the main chain: what is published there costs real money"
            )
        if self.max_fee_sat is None or self.max_fee_day_sat is None:
            raise SettingsRefused("max_fee_sat", "must be set for the main chain, and max_fee_day_sat, too")

    @property
    def interval_s(self) -> float:
        """Seconds between two publications, at least."""
        return self.every_s or (5.0 if self.chain == EMBEDDED else 3600.0)

    @property
    def poll_s(self) -> float:
        """Seconds between two looks at the chain."""
        return 0.25 if self.chain == EMBEDDED else 10.0

    @property
    def policy(self) -> FeePolicy:
        """What may be paid."""
        usual = _FREE if self.chain == EMBEDDED else _DEFAULT
        return FeePolicy(
            per_anchor_sat=self.max_fee_sat or usual.per_anchor_sat,
            per_day_sat=self.max_fee_day_sat or usual.per_day_sat,
        )


async def open_chain(settings: ChainSettings) -> WorkingChain:
    """The chain; raises `StoreUnusable`, `ChainUnavailable` or `ChainWrong` where it cannot be used now."""
    if settings.chain == EMBEDDED:
        return await EmbeddedChain.open(settings.folder, block_every_s=settings.block_every_s)
    kind, _, url = settings.chain.partition("+")
    makers: dict[str, Callable[[], Awaitable[WorkingChain]]] = {
        "core": lambda: _core(settings, url),
        "node": lambda: _node(settings, url),
        "esplora": lambda: _esplora(settings, url),
    }
    return await makers[kind]()


async def _core(settings: ChainSettings, url: str) -> WorkingChain:
    chain = CoreChain(Rpc(url, cookie=settings.cookie), settings.network)
    await chain.begin()
    return chain


async def _node(settings: ChainSettings, url: str) -> WorkingChain:
    """A key that is new has no coin before the present tip; the height is kept beside it."""
    rpc = Rpc(url, cookie=settings.cookie)
    path = settings.folder / "wallet.key"
    birth = settings.folder / f"birth-{settings.network}"
    fresh = not path.exists()
    key = Key.load(path)
    chain = NodeChain(rpc, settings.network, key)
    await chain.begin()
    if fresh:
        birth.write_text(str((await chain.source.tip()).height))
    if birth.exists():
        chain = NodeChain(
            rpc,
            settings.network,
            key,
            birth=int(birth.read_text() or "0"),
            snapshot=settings.folder / f"coins-{settings.network}.json",
        )
        await chain.begin()
    return chain


async def _esplora(settings: ChainSettings, url: str) -> WorkingChain:
    chain = EsploraChain(url, settings.network, Key.load(settings.folder / "wallet.key"))
    await chain.begin()
    return chain
