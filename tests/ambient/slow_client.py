"""A client that may be stopped at any moment: `python -m tests.ambient.slow_client URL COUNT` submits, waits, and prints what it got."""

import asyncio
import sys

from ambient.client import connect

WASM = b"\0asm\1\0\0\0"


async def main(url: str, count: int) -> None:
    """Print a line once everything is submitted, and one with how many different answers came."""
    async with connect(url, client="slow") as client:
        tasks = await client.submit_many(WASM, [b"%d" % n for n in range(count)])
        print("submitted", flush=True)  # noqa: T201 -- the test reads it
        verdicts = await asyncio.gather(*(task.result() for task in tasks))
        right = sum(verdict.output.startswith(b"%d " % n) for n, verdict in enumerate(verdicts))
        print(f"right {right}", flush=True)  # noqa: T201 -- the test reads it


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
