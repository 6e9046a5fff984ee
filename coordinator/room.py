"""How much a node may hold: the one rule that every placement keeps.

Each open attempt weighs what it is expected to take, at least 1/128 of a lane and at most a whole lane; a node has one lane
of 50 ms for each slot. **Invariant: no placement makes the weights of a node's open attempts exceed its lanes.** It follows that

- attempts of unknown or long duration (>= 50 ms) weigh a lane each, so a node holds exactly `slots` of them and
  none waits behind another;
- short ones are pipelined, up to 50 ms of expected work and 128 attempts for each slot (ADR 9);
- as long as fewer attempts than slots are open, there is room for any attempt.

Weights are whole ticks of 1/256 ms: sums of integers are exact, so what is taken and released in any order
ends at zero again.
"""

import math

__all__ = ["LANE_MS", "LANE_TICKS", "MIN_TICKS", "PER_LANE", "TICKS_PER_MS", "UNKNOWN_MS", "ticks"]

LANE_MS = 50
"""Expected work that a slot may have before it, in ms: what a wrong guess or a lost node costs at most."""

PER_LANE = 128
"""Attempts that a slot may have before it, however short: bounds a node's messages and what a death reassigns."""

TICKS_PER_MS = 256
LANE_TICKS = LANE_MS * TICKS_PER_MS
MIN_TICKS = LANE_TICKS // PER_LANE

UNKNOWN_MS = math.inf
"""The expected duration of work that nobody has measured yet."""


def ticks(expected_ms: float) -> int:
    """What an attempt weighs, in ticks; what is not a positive number counts as unknown."""
    if not 0.0 < expected_ms < LANE_MS:
        return LANE_TICKS
    return max(MIN_TICKS, math.ceil(expected_ms * TICKS_PER_MS))
