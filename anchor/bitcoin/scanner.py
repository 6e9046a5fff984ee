"""A follower kept at the tip of a chain that is read block by block: the shell of `anchor.bitcoin.follower`.

Guarantees that what `follower` says after `advance` is true of one chain, whose tip it names: a reorganisation in the middle of reading begins again.
"""

import contextlib
import json
from pathlib import Path
from typing import Protocol

from anchor.bitcoin.block import Block
from anchor.bitcoin.chain import Watch
from anchor.bitcoin.errors import ChainWrong
from anchor.bitcoin.follower import Follower, Held, Lost
from anchor.bitcoin.publications import Place, Tip, parse_outpoint
from anchor.receipt.errors import ReceiptError

__all__ = ["BlockSource", "Scanner"]

_SAVE_EVERY = 256
_TRIES = 5


class BlockSource(Protocol):
    """A chain that can be read block by block."""

    async def tip(self) -> Tip:
        """The last block of the chain with the most work."""
        ...

    async def hash_at(self, height: int) -> bytes | None:
        """The block at that height of the chain, None above its tip."""
        ...

    async def block(self, name: bytes) -> Block:
        """The block of that hash, checked to be it."""
        ...

    async def fork(self, tip: Tip) -> int:
        """The height of the last block that the chain and the branch that ends in `tip` share."""
        ...


class _Moved(Exception):
    """The chain was reorganised while it was read."""


class Scanner:
    """Keeps a `Follower` at the tip. `birth` is a height before the first coin of the key; `snapshot` a file that shortens the next start."""

    def __init__(
        self, source: BlockSource, *, script: bytes | None, birth: int, snapshot: Path | None = None
    ) -> None:
        self._source, self._script, self._birth, self._snapshot = source, script, birth, snapshot
        self._searched: frozenset[bytes] = frozenset()
        self._saved = -_SAVE_EVERY
        self.follower: Follower | None = None

    async def advance(self, watch: Watch) -> Follower:
        """Read what is new on the chain; raises as the source does."""
        for _ in range(_TRIES):
            try:
                return await self._advance(watch)
            except _Moved:
                continue
            except Lost:
                # Below all that is known: the coins are counted from the beginning.
                self.follower, self._searched = None, frozenset()
        raise ChainWrong("previousblockhash", "a chain that does not change while it is read")

    async def _advance(self, watch: Watch) -> Follower:
        follower = self.follower or await self._begin()
        follower.watch(watch.txids, watch.spends)
        tip = await self._source.tip()
        before = follower.tip.height
        await self._rewind(follower, tip)
        await self._search(follower, watch, rewound=follower.tip.height < before)
        while follower.tip.height < tip.height:
            name = await self._source.hash_at(follower.tip.height + 1)
            block = None if name is None else await self._source.block(name)
            if block is None or block.header.previous != follower.tip.block:
                raise _Moved
            follower.connect(block)
        self._save(follower)
        return follower

    async def _begin(self) -> Follower:
        self.follower = await self._restore() or await self._fresh()
        return self.follower

    async def _fresh(self) -> Follower:
        tip = await self._source.tip()
        height = min(self._birth if self._script is not None else tip.height, tip.height)
        return Follower(Tip(height, await self._known(height)), self._script)

    async def _known(self, height: int) -> bytes:
        name = await self._source.hash_at(height)
        if name is None:
            raise _Moved
        return name

    async def _rewind(self, follower: Follower, tip: Tip) -> None:
        height = min(follower.tip.height, tip.height)
        while (known := follower.hash_at(height)) is not None:
            if await self._source.hash_at(height) == known:
                break
            height -= 1
        if height < follower.tip.height:
            follower.rewind(height)

    async def _search(self, follower: Follower, watch: Watch, *, rewound: bool) -> None:
        """Find in older blocks what was not watched for when they were read: after a start that is what was built before."""
        places = {place.txid: place for place in watch.places}
        unknown = watch.txids - self._searched
        self._searched = watch.txids
        if not unknown and not rewound:
            return
        lost = [place for place in places.values() if not await self._holds(follower, place)]
        starts = [Tip(place.height, place.block) for place in lost if place.txid in unknown]
        if watch.since is not None and unknown - places.keys():
            starts.append(watch.since)
        if not starts:
            return
        low = min([await self._source.fork(start) for start in starts])
        if low < follower.tip.height:
            await self._read_again(follower, watch, low)

    async def _holds(self, follower: Follower, place: Place) -> bool:
        if await self._source.hash_at(place.height) != place.block:
            return False
        if place.height <= follower.tip.height:
            follower.mined[place.txid] = place
        return True

    async def _read_again(self, follower: Follower, watch: Watch, low: int) -> None:
        again = Follower(Tip(low, await self._known(low)))
        again.watch(watch.txids, watch.spends)
        while again.tip.height < follower.tip.height:
            block = await self._source.block(await self._known(again.tip.height + 1))
            if block.header.previous != again.tip.block:
                raise _Moved
            again.connect(block)
        follower.mined |= again.mined
        follower.spent |= again.spent

    def save(self) -> None:
        """Write the snapshot, for a quick start."""
        if self.follower is not None and self._snapshot is not None and self._script is not None:
            _write(self._snapshot, self.follower)

    def _save(self, follower: Follower) -> None:
        if follower.tip.height >= self._saved + _SAVE_EVERY:
            self._saved = follower.tip.height
            self.save()

    async def _restore(self) -> Follower | None:
        if self._snapshot is None or self._script is None:
            return None
        saved = _read(self._snapshot, self._script)
        if saved is None or await self._source.hash_at(saved.tip.height) != saved.tip.block:
            return None
        return saved


def _write(path: Path, follower: Follower) -> None:
    """A snapshot only saves time: one that cannot be written is done without."""
    said = {
        "height": follower.tip.height,
        "block": follower.tip.block.hex(),
        "script": (follower.script or b"").hex(),
        "coins": {
            str(coin): [held.value, held.height, held.coinbase]
            for coin, held in follower.coins.items()
            if held.spent is None
        },
    }
    partial = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(said))
        partial.replace(path)


def _read(path: Path, script: bytes) -> Follower | None:
    """The follower that was saved; None where the file is none, or of another key."""
    try:
        said = json.loads(path.read_bytes())
        if bytes.fromhex(said["script"]) != script:
            return None
        follower = Follower(Tip(int(said["height"]), bytes.fromhex(said["block"])), script)
        for name, (value, height, coinbase) in said["coins"].items():
            follower.coins[parse_outpoint(name)] = Held(int(value), int(height), bool(coinbase))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ReceiptError):
        return None
    return follower
