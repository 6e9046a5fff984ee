"""Energy: of the machine since the node started, and the share of each task.

The total is measured where the processor's counters can be read (RAPL: `measured:rapl`), and otherwise follows from a
declared model (`estimated:tdp`): idle watts plus the processor's share of the way to the maximum.

A task's share is by processor time: a task that had one of C cores for t seconds, while the machine drew P watts, is
charged P · t / C. So a machine whose tasks keep every core busy charges them all of its energy, and an idle one's
rest is charged to nobody. `Ledger` makes sure that tasks are never charged more than the machine has used.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workers.vitals import processor_seconds

__all__ = ["Counter", "EnergyMeter", "Ledger", "Model", "Rapl", "Source", "find_source"]

RAPL_ROOT = Path("/sys/class/powercap")
MIN_INTERVAL_S = 0.05
"""Between two readings: counters tick every millisecond, and a reading costs up to 0.1 ms."""
_MICRO = 1e-6


class Ledger:
    """What the machine used and what tasks were charged, in joules. Pure."""

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._watts = 0.0
        self.total_j = 0.0
        self.charged_j = 0.0

    def __repr__(self) -> str:
        """Charged and used."""
        return f"Ledger(charged {self.charged_j:.3f} of {self.total_j:.3f} J, {self._watts:.1f} W)"

    def add(self, joules: float, seconds: float) -> None:
        """The machine used `joules` over the last `seconds`."""
        self.total_j += joules
        self._watts = joules / seconds

    def charge(self, cpu_s: float) -> float:
        """Charge a task that used `cpu_s` seconds of processor time; returns its joules."""
        joules = min(self._watts * cpu_s / self._cores, self.total_j - self.charged_j)
        # Rounded down, so that the rounding cannot break the promise either.
        joules = max(0.0, int(joules / _MICRO) * _MICRO)
        self.charged_j += joules
        return joules


@dataclass(slots=True)
class Counter:
    """An energy counter in microjoules that begins again at 0 after `range_uj`. Pure."""

    range_uj: int
    last_uj: int

    def advance(self, now_uj: int) -> float:
        """The joules since the last reading; correct for at most one wrap-around between two."""
        step = now_uj - self.last_uj
        if step < 0:
            step += self.range_uj + 1
        self.last_uj = now_uj
        return max(0, step) * _MICRO


class Source(Protocol):
    """Something that knows the machine's energy."""

    method: str

    def read(self, seconds: float) -> float:
        """The joules used in the `seconds` since the last call."""
        ...  # a protocol's body


@dataclass(slots=True)
class Rapl:
    """Intel's and AMD's running average power limit counters, as Linux shows them (kernel: power/powercap)."""

    counters: dict[Path, Counter]
    method: str = "measured:rapl"

    @classmethod
    def find(cls, root: Path = RAPL_ROOT) -> "Rapl | None":
        """The counters that this process may read, or None.

        Packages, and the memory beside them; not their parts (`core`, `uncore`), which a package includes, nor
        `psys` and `intel-rapl-mmio`, which count the same energy again.
        """
        counters: dict[Path, Counter] = {}
        for zone in sorted(root.glob("intel-rapl:*")):
            try:
                name = (zone / "name").read_text().strip()
                if not name.startswith("package") and name != "dram":
                    continue
                energy = zone / "energy_uj"
                counters[energy] = Counter(
                    int((zone / "max_energy_range_uj").read_text()), int(energy.read_text())
                )
            except (OSError, ValueError):
                continue  # since 2020 kernels let only root read them (CVE-2020-8694)
        return cls(counters) if counters else None

    def read(self, seconds: float) -> float:
        """See `Source`. A counter that cannot be read any more counts as 0."""
        del seconds
        total = 0.0
        for path, counter in self.counters.items():
            try:
                total += counter.advance(int(path.read_text()))
            except (OSError, ValueError):
                continue
        return total


@dataclass(slots=True)
class Model:
    """Idle watts, and more in proportion to the processor's busy share."""

    idle_watts: float
    max_watts: float
    method: str = "estimated:tdp"
    _last: tuple[float, float] = field(default_factory=processor_seconds)

    def read(self, seconds: float) -> float:
        """See `Source`."""
        busy, every = processor_seconds()
        passed = every - self._last[1]
        share = (busy - self._last[0]) / passed if passed > 0 else 0.0
        self._last = (busy, every)
        return self.joules(share, seconds)

    def joules(self, busy_share: float, seconds: float) -> float:
        """The model itself: `busy_share` of all cores, 0..1."""
        share = min(1.0, max(0.0, busy_share))
        return (self.idle_watts + share * (self.max_watts - self.idle_watts)) * seconds


def find_source(idle_watts: float, max_watts: float, root: Path = RAPL_ROOT) -> Source:
    """The best source there is on this machine."""
    return Rapl.find(root) or Model(idle_watts, max_watts)


class EnergyMeter:
    """A ledger that is kept up to date from a source; the time (seconds, monotonic) is passed in."""

    def __init__(self, source: Source, now_s: float, cores: int | None = None) -> None:
        self._source = source
        self._read_s = now_s
        self._ledger = Ledger(cores or os.cpu_count() or 1)

    @property
    def method(self) -> str:
        """How the figures are known."""
        return self._source.method

    @property
    def total_j(self) -> float:
        """Of the machine since the meter was made, as of the last reading."""
        return self._ledger.total_j

    @property
    def charged_j(self) -> float:
        """What tasks were charged of it."""
        return self._ledger.charged_j

    def update(self, now_s: float) -> None:
        """Read the source, if the last reading is not too fresh."""
        passed = now_s - self._read_s
        if passed >= MIN_INTERVAL_S:
            self._read_s = now_s
            self._ledger.add(self._source.read(passed), passed)

    def charge(self, cpu_ms: float) -> float:
        """The joules of a task that used `cpu_ms` of processor time."""
        return self._ledger.charge(cpu_ms / 1000)
