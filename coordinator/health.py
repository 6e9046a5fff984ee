"""How good a node is: the health score and the reputation in it, as array formulas without state.

Guarantees that every term is between 0 and its weight, whatever a node reports, and that the terms add up to the score.
Left to others: who reported the inputs and when (`coordinator.registry`), and whether a node takes work at
all (a node in safe mode may well have a good score).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BANDWIDTH_FULL_MBPS",
    "DISSENT_WEIGHT",
    "FAULT_WEIGHT",
    "LATENCY_LIMIT_MS",
    "PRIOR_FAILURES",
    "PRIOR_SUCCESSES",
    "TERMS",
    "WEIGHTS",
    "Floats",
    "reputation",
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

PRIOR_SUCCESSES = 2.0
PRIOR_FAILURES = 2.0
"""Beta(2, 2): a newcomer has 0.5, so neither trust nor distrust, and its first results move it by tenths, not to an end.

A higher prior would reward who throws a spoilt name away and enrols under a new one.
"""

DISSENT_WEIGHT = 10.0
FAULT_WEIGHT = 1.0
"""A fault (a crash, a timeout) is bad luck or a weak machine; a dissent is a wrong answer under a signature."""


def reputation(agreed: int, dissented: int, faulted: int) -> float:
    """The expected success rate after these counts, strictly between 0 and 1.

    The mean of the Beta posterior, (2 + agreed) / (4 + agreed + 10 dissented + faulted).
    """
    successes = PRIOR_SUCCESSES + agreed
    failures = PRIOR_FAILURES + DISSENT_WEIGHT * dissented + FAULT_WEIGHT * faulted
    return successes / (successes + failures)


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
