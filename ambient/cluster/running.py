"""One process that is kept running: how it is begun where nothing is forked, and how it is ended.

Guarantees that on Linux none outlives who began it, and that ctrl-C at a terminal does not reach it: whoever began it says in which order they end.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ambient.cluster.forks import Started
from ambient.cluster.forkserver import die_with_parent
from ambient.cluster.plan import ProcessPlan
from ambient.cluster.restarts import RestartPolicy

__all__ = ["Running", "begin"]


class Running:
    """One supervised process."""

    def __init__(self, plan: ProcessPlan) -> None:
        self.plan = plan
        self.policy = RestartPolicy()
        self.process: Started | None = None
        self.wanted = True

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    async def end(self, wait_s: float) -> None:
        """SIGTERM, and SIGKILL if it has not ended after `wait_s`."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(wait_s):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def __repr__(self) -> str:
        """Name, pid and restarts."""
        return f"Running({self.plan.name}, pid={self.pid}, restarts={self.policy.count})"


async def begin(command: Sequence[str], log: Path) -> asyncio.subprocess.Process:
    """A new process of this command, what it prints behind what is in `log`. Raises `OSError`."""
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # ctrl-C is for us: we let nodes drain before the server goes
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
