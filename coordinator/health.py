"""How good a node is: the health score, as array formulas without state.

Guarantees that every term is between 0 and its weight, whatever a node reports, and that the terms add up to the score.
Left to others: the reputation in it (`bus.reputation`), who reported the inputs and when (`coordinator.registry`), and whether a node takes work at
all (a node in safe mode may well have a good score).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BANDWIDTH_FULL_MBPS",
    "LATENCY_LIMIT_MS",
    "TERMS",
    "WEIGHTS",
    "Floats",
    "score",
    "terms",
]

type Floats = NDArray[np.float64]

BANDWIDTH_FULL_MBPS = 1000.0
LATENCY_LIMIT_MS = 100.0

TERMS = ("bandwidth", "latency", "load", "reputation")
"""The names of the terms, in the order of `terms`' rows."""

WEIGHTS = (0.4, 0.3, 0.2, 0.1)
"""What each term counts at most; they add up to 1, so the score is between 0 and 1."""


def terms(
    bandwidth_mbps: Floats, latency_ms: Floats, cpu_free: Floats, memory_free: Floats, reputed: Floats
) -> Floats:
    """The weighted terms of the score, shape (4, n), rows as in `TERMS`.

    0.4 bandwidth/1000 Mbps + 0.3 (1 - latency/100 ms) + 0.2 mean(cpu free, memory free) + 0.1 reputation,
    each clamped to 0..1 before it is weighted: a boasted terabit counts as much as a gigabit.
    """
    raw = np.empty((len(TERMS), len(bandwidth_mbps)))
    np.divide(bandwidth_mbps, BANDWIDTH_FULL_MBPS, out=raw[0])
    np.subtract(1.0, latency_ms / LATENCY_LIMIT_MS, out=raw[1])
    np.multiply(cpu_free + memory_free, 0.5, out=raw[2])
    raw[3] = reputed
    np.clip(raw, 0.0, 1.0, out=raw)
    raw *= np.array(WEIGHTS)[:, None]
    return raw


def score(weighted: Floats) -> Floats:
    """The score, 0..1, shape (n,), of terms as `terms` returns them."""
    total: Floats = weighted.sum(axis=0)
    return total
