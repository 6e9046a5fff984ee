"""What a verdict pays: the one rule by which the coordinator, the anchor and any stranger come to the same amount."""

from collections.abc import Collection

__all__ = ["PRICED_FUEL", "share_of"]

PRICED_FUEL = 10**9
"""A price is for so much fuel."""


def share_of(reward: int, price: int, fuel: int, status: str, agreeing: Collection[str]) -> int:
    """What each of the agreeing nodes gets, in msat; 0 where the task was not verified, or nobody agreed.

    Without a price it is an equal part of the reward. With one it is the price for the fuel that the answer took, rounded
    up, and that part at most. What is over stays with the client.
    """
    if not reward or not agreeing or status != "verified":
        return 0
    part = reward // len(agreeing)
    return min(part, -(-fuel * price // PRICED_FUEL)) if price else part
