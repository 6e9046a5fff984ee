"""Run WebAssembly on nodes that you need not trust: two of three must agree on the result. Start a cluster first: `ambient up`."""

import asyncio
from pathlib import Path

import ambient

PRIMES = Path(__file__).parent / "guests" / "primes.wasm"


async def main() -> None:
    """Count primes."""
    async with ambient.connect() as vcp:
        verdict = await vcp.run(PRIMES, 100_000, entry="count_primes", verify="quorum:2/3")
        print(f"{verdict.value} primes up to 100,000, say {', '.join(verdict.nodes)}")


if __name__ == "__main__":
    asyncio.run(main())
