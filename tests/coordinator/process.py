"""One coordinator as a process of its own, for tests that stop or kill it: `python process.py URL CLUSTER NAME`."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from coordinator.service import run
from coordinator.settings import Settings
from tests.coordinator.cell import QUICK


def main() -> None:
    """Run until a signal comes."""
    url, cluster, name = sys.argv[1:]
    with TemporaryDirectory() as data:
        asyncio.run(run(Settings(data=Path(data), url=url, cluster=cluster, name=name, timing=QUICK)))


if __name__ == "__main__":
    main()
