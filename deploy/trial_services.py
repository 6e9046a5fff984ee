#!/usr/bin/env python3
"""Run coordinator, verifier, anchor and gateway from the built image of the services, each confined, to a verdict of a node outside of it.

`make test-image-services` builds the image and plays this; it ends with 1 if something is not true. As `trial.py` does with a node: the user 1000, a
read-only root, no capability, one folder to write. The NATS server, the node and the client are outside; nothing is mocked.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from trial import (
    CANNOT,
    PATIENCE_S,
    PRIMES,
    SHELLS,
    USER,
    NotTrue,
    buildah,
    confined,
    fact,
    first_process,
    unable,
    unpacked,
)

from ambient.client import Client, connect
from bus.server import NatsServer, free_port

IMAGE = "localhost/ambient-services"
MOST_MB = 260
"""The image is 234 MB, nearly all of it numpy, Bitcoin Core's consensus code and what the gateway serves."""
ROLES = {"coordinator": (), "verifier": (), "anchor": ("--chain", "none"), "gateway": ("--http-port",)}


class Service:
    """One service of the image, running."""

    def __init__(self, role: str, root: Path, folder: Path, config: dict[str, Any]) -> None:
        self.role, self.root, self.config = role, root, config
        self.data, self.log, self.page = folder / role, folder / f"{role}.log", free_port()
        self.data.mkdir(mode=0o700)
        os.chown(self.data, USER, USER)
        self.process: asyncio.subprocess.Process | None = None

    async def _run(self, *command: str, log: int) -> asyncio.subprocess.Process:
        line = confined(self.root, self.data, self.config, *command)
        return await asyncio.create_subprocess_exec(*line, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, user=USER, group=USER, extra_groups=())  # fmt: skip

    async def start(self, nats: str, *options: str) -> None:
        """By the image's entry point, with the options that compose.yaml gives it, on ports that are free here."""
        told = (
            "--name",
            self.role,
            "--nats",
            nats,
            "--cluster",
            "trial",
            "--metrics",
            str(self.page),
            *options,
        )
        with self.log.open("ab") as log:
            self.process = await self._run(*self.config["Entrypoint"], self.role, *told, log=log.fileno())

    async def well(self) -> None:
        """Wait until the image's own health check says so; raises `NotTrue` with the service's last words."""
        kind, *command = self.config["Healthcheck"]["Test"]
        asked = [str(self.page) if word == "9464" else word for word in command]
        try:
            async with asyncio.timeout(PATIENCE_S):
                while kind != "CMD" or await (await self._run(*asked, log=asyncio.subprocess.DEVNULL)).wait():
                    if kind != "CMD" or self.ended:
                        raise NotTrue(f"the {self.role} runs: {self.log.read_text()[-2000:]}")
        except TimeoutError:
            raise NotTrue(f"the {self.role} gets well: {self.log.read_text()[-2000:]}") from None

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.process is None or self.process.returncode is not None

    async def stop(self) -> int:
        """SIGTERM to the service itself; its exit code."""
        assert self.process is not None  # noqa: S101 -- started
        os.kill(first_process(self.process.pid), signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)


def check_files(root: Path, config: dict[str, Any]) -> None:
    """What is in the image, and what is not."""
    files = [path for path in root.rglob("*") if not path.is_symlink() and path.is_file()]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    fact(size_mb <= MOST_MB, f"{size_mb:.0f} MB in {len(files):,} files")
    fact(
        not {path.name for path in files if os.access(path, os.X_OK)} & set(SHELLS),
        "no shell, no package manager",
    )
    fact(config["User"] == f"{USER}:{USER}", f"its user is {config['User']}")


@asynccontextmanager
async def node(folder: Path, nats: str) -> AsyncIterator[None]:
    """A node outside of the image."""
    with (folder / "node.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ambient", "node", "--id", "outside", "--data", str(folder / "node"), "--nats", nats),
            *("--cluster", "trial", "--slots", "1", "--memory-mb", "512"), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def check_work(client: Client, page: str) -> None:
    """A verdict, and what the gateway says."""
    async with asyncio.timeout(PATIENCE_S):
        while not (await client.health()).ok:
            await asyncio.sleep(0.1)
    verdict = await client.run(PRIMES, 100_000, entry="count_primes")
    fact(
        (verdict.status, verdict.text) == ("verified", "9592"),
        f"a verdict: {verdict.status}, {verdict.text} primes below 100,000",
    )
    for path, what in (("/api/v1/health/ready", "it is ready"), ("/", "its dashboard is served")):
        answer = await asyncio.to_thread(urllib.request.urlopen, page + path)
        fact(answer.status == 200, f"the gateway says over HTTP that {what}" if path != "/" else what)  # noqa: PLR2004 -- HTTP's own


async def check_services(root: Path, folder: Path, config: dict[str, Any]) -> None:
    """Start, work, health, SIGTERM."""
    http = free_port()
    async with NatsServer(folder / "nats") as server, node(folder, server.url):
        services = [Service(role, root, folder, config) for role in ROLES]
        for service in services:
            options = ROLES[service.role]
            await service.start(server.url, *options, *([str(http)] if service.role == "gateway" else []))
        try:
            for service in services:
                await service.well()
            fact(
                not [each.role for each in services if each.ended],
                "coordinator, verifier, anchor and gateway run confined, and HEALTHCHECK says they are well",
            )
            async with connect(server.url, cluster="trial", client="trial") as client:
                await check_work(client, f"http://127.0.0.1:{http}")
            codes = {service.role: await service.stop() for service in reversed(services)}
            fact(set(codes.values()) == {0}, f"SIGTERM ends each in order: {codes}")
        finally:
            for service in services:
                if service.process is not None and not service.ended:
                    service.process.kill()
                    await service.process.wait()


def main() -> int:
    """Play it all; 0 if all of it was true."""
    if lacking := unable():
        print(f"the image cannot be tried: {lacking}", file=sys.stderr)
        return CANNOT
    with tempfile.TemporaryDirectory(prefix="ambient-trial-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        try:
            with unpacked(IMAGE, folder) as root:
                print("The services' image", flush=True)
                check_files(root, config)
                asyncio.run(check_services(root, folder, config))
        except NotTrue as wrong:
            print(f"  ✗ not true: {wrong}", flush=True)
            return 1
    print("All of it was true.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
