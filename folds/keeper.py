"""Keeps one fold small and quick to restart: what is finished goes into runs, and its state into checkpoints.

Guarantees that the fold is asked for its state only while it leads, that what takes long (building, merging, compressing, hashing, sending)
happens beside the event loop's work, and that a checkpoint that cannot be written costs nothing but a longer restart.
How often: not before `every_s`, not before something was folded, and so seldom that the pauses for it are 1 % of the time at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import structlog

from bus.connection import Bus
from bus.errors import BusError, Fenced
from bus.streams import Extent, extent
from folds.errors import CheckpointUnusable, FoldsError
from folds.freed import give_back, keep_large_apart
from folds.manifest import Manifest
from folds.remembered import Remembered
from folds.runs import build, merge
from folds.store import Checkpoint, CheckpointStore

__all__ = ["Beginning", "Keeper", "Snapshot"]

_log = structlog.get_logger("folds.keeper")

_LOOK_S = 0.5
_PAUSES = 100
"""A pause of so many milliseconds is followed by at least a hundred times as many without one."""


class Beginning(NamedTuple):
    """How far each log is folded already, by sequence, where each begins, and whether a checkpoint was restored."""

    positions: dict[str, int]
    first: dict[str, int]
    restored: bool


type Snapshot = tuple[Manifest, bytes]
"""A manifest without its parts, and the packed state."""


class Keeper:
    """For one term of one fold. `remembered` is the fold's; `take` gives its state at a moment when nothing is undecided."""

    def __init__(
        self,
        bus: Bus,
        store: CheckpointStore,
        remembered: Remembered,
        take: Callable[[], Awaitable[Snapshot | None]],
        *,
        every_s: float,
    ) -> None:
        self._bus = bus
        self._store = store
        self._remembered = remembered
        self._take = take
        self._every_s = every_s
        self._due_s = 0.0
        self.saved: Manifest | None = None
        self.pause_ms = 0.0

    def __repr__(self) -> str:
        """What it keeps, and how far the newest checkpoint reaches."""
        return f"Keeper({self._store!r}, {self._remembered!r})"

    async def begin(self, logs: Iterable[str], restore: Callable[[Checkpoint], None]) -> Beginning:
        """Restore the newest checkpoint, if there is one that is fit for use; from where on the logs are to be read.

        `restore` raises `CheckpointUnusable` before it changes anything. Raises `BusUnavailable`.
        """
        keep_large_apart()
        extents = {log: await extent(self._bus, log) for log in logs}
        first = {log: each.first for log, each in extents.items()}
        loaded = await self._store.load()
        if loaded is not None:
            try:
                _check_reach(loaded.manifest, extents)
                restore(loaded)
            except CheckpointUnusable as error:
                _log.error("the checkpoint cannot be used: folding the logs", reason=str(error))
            else:
                self.saved = loaded.manifest
                return Beginning(dict(loaded.manifest.positions), first, restored=True)
        cut = {log: each for log, each in first.items() if each > 1}
        if cut:
            _log.error("no checkpoint for logs that were cut: what was before is not known", begins=cut)
        return Beginning({log: each - 1 for log, each in first.items()}, first, restored=False)

    async def run(self) -> None:
        """Keep the fold small, and save it whenever that is due, for ever."""
        self._due_s = asyncio.get_running_loop().time() + self._every_s
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._seal()
                if asyncio.get_running_loop().time() >= self._due_s:
                    await self.save()
            except (FoldsError, BusError) as error:
                _log.warning("no checkpoint this time", reason=str(error))

    async def save(self) -> bool:
        """Save now; whether there was anything to save. Raises what kept it from it (`FoldsError`, `BusError`)."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._due_s = begun + self._every_s
        taken = await self._take()
        paused_s = loop.time() - begun
        self._due_s = loop.time() + max(self._every_s, _PAUSES * paused_s)
        newest = self._store.newest
        if taken is None or (newest is not None and not _further(taken[0], newest)):
            return False
        runs = list(self._remembered.runs)
        try:
            self.saved = await self._store.save(*taken, runs)
        except Fenced:
            # Somebody else saved one. Theirs is as good as ours, if it is not that of a leader that has gone stale.
            await self._store.look()
            raise
        self.pause_ms = paused_s * 1000
        _log.debug(
            "checkpoint", positions=self.saved.positions, bytes=len(taken[1]), paused_s=round(paused_s, 4)
        )
        self._store.keep(self._remembered.runs)
        await asyncio.to_thread(give_back)
        return True

    async def _seal(self) -> None:
        """Move what is finished out of memory, and make few large runs of many small ones."""
        remembered, shelf = self._remembered, self._store.shelf
        given = remembered.to_seal()
        if given is not None:
            remembered.sealed(shelf.run(await asyncio.to_thread(build, *given)))
        group = remembered.to_merge()
        if group is not None:
            remembered.merged(group, shelf.run(await asyncio.to_thread(merge, group)))
        if given is not None or group is not None:
            await asyncio.to_thread(give_back)


def _check_reach(manifest: Manifest, extents: dict[str, Extent]) -> None:
    short = [log for log, each in extents.items() if manifest.positions.get(log, 0) + 1 < each.first]
    if short:
        raise CheckpointUnusable(f"the logs were cut beyond it: {', '.join(short)}")


def _further(one: Manifest, other: Manifest) -> bool:
    """Whether `one` reaches further than `other` in some log, and less far in none."""
    pairs = [(one.positions.get(log, 0), at) for log, at in other.positions.items()]
    return all(mine >= its for mine, its in pairs) and any(mine > its for mine, its in pairs)
