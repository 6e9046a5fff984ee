"""One function over many arguments, without `async`: how many primes lie in each of 200 intervals.

Results come as they are verified, not in order, and at most 100 tasks are in flight: the same loop does for millions of inputs.
"""

from itertools import pairwise
from pathlib import Path

import ambient

PRIMES = Path(__file__).parent / "guests" / "primes.wasm"
STEP = 500
INTERVALS = 200


def main() -> None:
    """Count up to each border, then take differences."""
    up_to = [0] * (INTERVALS + 1)
    borders = [(STEP * n,) for n in range(INTERVALS + 1)]
    with ambient.connect_sync() as vcp:
        for index, verdict in vcp.map(PRIMES, borders, entry="count_primes", in_flight=100):
            up_to[index] = verdict.value
    counts = [after - before for before, after in pairwise(up_to)]
    fewest = min(range(INTERVALS), key=counts.__getitem__)
    print(
        f"{up_to[-1]} primes up to {STEP * INTERVALS:,}; the fewest, {counts[fewest]}, from {fewest * STEP:,} on"
    )


if __name__ == "__main__":
    main()
