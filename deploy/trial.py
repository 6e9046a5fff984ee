#!/usr/bin/env python3
"""Run the node of the built image against a cluster outside of it, and say of each promise that the image makes whether it is kept.

`make test-image` builds the image and plays this; it ends with 1 if something is not true. The node runs as the real user 1000 in
bubblewrap, which gives it namespaces of its own, the image as a read-only root, no capability and one folder to write. Nothing is mocked:
the cluster is `ambient up`'s, the guest is committed WebAssembly, the verdict is the verifier's.
"""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ambient.client import Client, connect
from ambient.cluster import ClusterPlan, Supervisor

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "localhost/ambient-node"
USER = 1000
PRIMES = ROOT / "examples/guests/primes.wasm"
MOST_MB = 130
"""The image is 117 MB; what makes it larger than this was not meant for a device."""
SHELLS = ("sh", "bash", "dash", "busybox", "apt", "dpkg", "pip", "perl")
PATIENCE_S = 120.0
BEGUN_S = 0.2
CANNOT = 3
"""The exit code that says: nothing is wrong with the image, it could not be tried here."""


class NotTrue(Exception):
    """A promise of the image that is not kept."""


def fact(is_true: object, text: str) -> None:
    """Say it where it is true; raises `NotTrue`."""
    if not is_true:
        raise NotTrue(text)
    print(f"  ✓ {text}", flush=True)


def buildah(*arguments: str) -> str:
    """Run buildah as deploy/image does, and return what it prints."""
    environment = {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"} | os.environ
    return subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=True, env=environment).stdout.strip()  # fmt: skip


@contextmanager
def unpacked(image: str, folder: Path) -> Iterator[Path]:
    """The image's files in `folder`, with the owners and modes that they have in it."""
    container = buildah("from", "--pull-never", image)
    try:
        root = folder / "root"
        subprocess.run(["cp", "-a", buildah("mount", container), str(root)], check=True)
    finally:
        buildah("rm", container)
    yield root


def confined(root: Path, data: Path, config: dict[str, Any], *command: str) -> list[str]:
    """The command line that runs `command` in the image, as container engines do with `--read-only --user 1000`."""
    variables = [word for pair in config["Env"] for word in ("--setenv", *pair.split("=", 1))]
    return [
        "bwrap", "--unshare-all", "--share-net", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv", *variables,
        "--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev", "--bind", str(data), "/data",
        "--chdir", config["WorkingDir"], "--", *command,
    ]  # fmt: skip


def check_files(root: Path, config: dict[str, Any]) -> None:
    """What is in the image, and what is not."""
    files = [path for path in root.rglob("*") if not path.is_symlink() and path.is_file()]
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    fact(size_mb <= MOST_MB, f"{size_mb:.0f} MB in {len(files):,} files")
    names = {path.name for path in files if os.access(path, os.X_OK)}
    fact(not names & set(SHELLS), "no shell, no package manager")
    fact(
        not [path for path in files if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)], "no setuid file"
    )
    fact(config["User"] == f"{USER}:{USER}", f"its user is {config['User']}")
    fact(config["Volumes"] == {"/data": {}}, "its one volume is /data")
    labels = config["Labels"]
    fact(
        labels["org.opencontainers.image.licenses"] == "MIT" and labels["org.opencontainers.image.revision"],
        f"its labels name version {labels['org.opencontainers.image.version']}, revision and licence",
    )  # fmt: skip


def check_bill(root: Path) -> None:
    """The bill of materials lists what is there, in the versions that are pinned."""
    bill = json.loads((root / "usr/share/doc/ambient-vcp/sbom.cdx.json").read_text())
    listed = {
        each["name"]: each["version"] for each in bill["components"] if each["purl"].startswith("pkg:pypi/")
    }
    there = {
        canonicalize_name(path.name.rsplit("-", 1)[0]) for path in root.glob("opt/ambient/lib/*/site-packages/*.dist-info") for path in [path.with_suffix("")]
    }  # fmt: skip
    fact(there == {*listed, "ambient-vcp"}, f"the bill of materials lists all {len(there)} Python packages")
    pins = {
        pin.name: str(pin.specifier).removeprefix("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
        for pin in [Requirement(line)]
    }
    fact({name: pins.get(name) for name in listed} == listed, "each in the version that constraints.txt pins")
    debian = [each["name"] for each in bill["components"] if each["purl"].startswith("pkg:deb/")]
    fact({"libc6", "libssl3t64", "ca-certificates"} <= set(debian), f"and {len(debian)} packages of Debian")


def check_process(outer: int) -> None:
    """What the kernel says of the node, seen from outside: `outer` is bubblewrap's id."""
    pid = first_process(outer)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    fact(set(status["Uid"].split()) == {str(USER)}, f"the node is process {pid} of user {USER}")
    fact(
        not int(status["CapEff"], 16) and not int(status["CapPrm"], 16) and status["NoNewPrivs"] == "1",
        "it has no capability, and can get none",
    )
    mounts = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    at_root = [fields[3].split(",") for fields in mounts if fields[1] == "/"]
    fact("ro" in at_root[-1], "its root is mounted read-only")


def first_process(outer: int) -> int:
    """The first process of the container, as its engine would signal it."""
    return int(Path(f"/proc/{outer}/task/{outer}/children").read_text())


def slots_worked_s(outer: int) -> float:
    """Seconds of processor that the node's own children, the slots, have used."""
    slots = psutil.Process(first_process(outer)).children(recursive=True)
    return sum(slot.cpu_times().user for slot in slots)


class Container:
    """The node of the image, running."""

    def __init__(self, root: Path, data: Path, config: dict[str, Any], log: Path) -> None:
        self._root, self._data, self._config, self._log = root, data, config, log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, nats: str) -> None:
        """Run the image's entry point and command, told only where the bus is."""
        command = (*self._config["Entrypoint"], *self._config["Cmd"])
        told = (
            "--nats",
            nats,
            "--cluster",
            "trial",
            "--id",
            "image",
            "--slots",
            "2",
            "--memory-mb",
            "512",
            "--drain-s",
            "80",
        )
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *confined(self._root, self._data, self._config, *command, *told),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, user=USER, group=USER, extra_groups=(),
            )  # fmt: skip

    async def health(self) -> int:
        """The exit code of the image's own health check, run in the same folder."""
        kind, *command = self._config["Healthcheck"]["Test"]
        if kind != "CMD":
            raise NotTrue(f"the health check needs a shell: {kind}")
        process = await asyncio.create_subprocess_exec(
            *confined(self._root, self._data, self._config, *command),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, user=USER, group=USER, extra_groups=(),
        )  # fmt: skip
        return await process.wait()

    async def well(self) -> None:
        """Wait until the health check says so; raises `NotTrue` with the node's last words."""
        assert self.process is not None  # noqa: S101 -- started
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self.health() != 0:
                    if self.process.returncode is not None:
                        raise NotTrue(
                            f"the node runs (it ended with {self.process.returncode}): {self._log.read_text()[-2000:]}"
                        )
        except TimeoutError:
            raise NotTrue(f"the node gets well: {self._log.read_text()[-2000:]}") from None

    def terminate(self) -> None:
        """SIGTERM to the node itself, as container engines send it to the first process of the container."""
        assert self.process is not None  # noqa: S101 -- started
        os.kill(first_process(self.process.pid), signal.SIGTERM)


async def check_work(client: Client) -> None:
    """A verdict on what the node ran."""
    verdict = await client.run(PRIMES, 100_000, entry="count_primes", place={"node": "image"})
    fact(
        (verdict.status, verdict.text, verdict.nodes) == ("verified", "9592", ("image",)),
        f"a verdict: {verdict.status}, {verdict.text} primes below 100,000, by {' '.join(verdict.nodes)}, {verdict.fuel:,} instructions",
    )


def unable() -> str:
    """What this machine lacks for the trial, empty where it lacks nothing."""
    for tool in ("buildah", "bwrap"):
        if shutil.which(tool) is None:
            return f"{tool} is not there: apt-get install buildah bubblewrap"
    if os.geteuid() != 0:
        return "it takes root, to run the node as somebody else"
    able = [
        "bwrap",
        "--unshare-all",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--",
        "/bin/true",
    ]
    done = subprocess.run(
        able, user=USER, group=USER, extra_groups=(), capture_output=True, text=True, check=False
    )
    return f"users without rights get no namespaces here: {done.stderr.strip()}" if done.returncode else ""


async def main() -> int:
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
                print("The image", flush=True)
                check_files(root, config)
                check_bill(root)
                async with cluster(folder / "cluster") as nats:
                    await check_node(root, folder, config, nats)
        except NotTrue as wrong:
            print(f"  ✗ not true: {wrong}", flush=True)
            return 1
    print("All of it was true.")
    return 0


@asynccontextmanager
async def cluster(data: Path) -> AsyncIterator[str]:
    """A cluster without nodes, outside the image."""
    async with Supervisor(ClusterPlan(data=data, cluster="trial", nodes=0)) as running:
        yield running.nats


async def check_node(root: Path, folder: Path, config: dict[str, Any], nats: str) -> None:
    """Start, work, health, SIGTERM."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, USER, USER)
    container = Container(root, data, config, folder / "node.log")
    print("The node in it, on a cluster outside", flush=True)
    fact(await container.health() != 0, "HEALTHCHECK fails while there is no node")
    await container.start(nats)
    assert container.process is not None  # noqa: S101 -- just started
    await container.well()
    fact(await container.health() == 0, "HEALTHCHECK says that it is well")
    check_process(container.process.pid)
    async with connect(nats, cluster="trial", client="trial") as client:
        await check_work(client)
        idle_s = slots_worked_s(container.process.pid)
        handle = await client.submit(
            PRIMES,
            400_000_000,
            entry="count_primes",
            place={"node": "image"},
            limits={"fuel": 10**12, "wall_ms": 120_000},
        )
        # Assigned is not begun, and what is not begun is handed back: the guest runs once a slot has worked.
        async with asyncio.timeout(PATIENCE_S):
            while slots_worked_s(container.process.pid) < idle_s + BEGUN_S:
                await asyncio.sleep(0.02)
        container.terminate()
        code = await asyncio.wait_for(container.process.wait(), PATIENCE_S)
        verdict = await handle.result(timeout_s=PATIENCE_S, check=False)
        fact(
            (code, verdict.status, verdict.nodes) == (0, "verified", ("image",)),
            f"SIGTERM drained it: the guest that ran is {verdict.status} ({verdict.text or verdict.detail or verdict.reason}), exit code {code}",
        )
    fact(await container.health() != 0, "HEALTHCHECK fails after it has ended")
    fact({path.name for path in data.iterdir()} == {"identity", "lock", "modules", "outbox"}, f"/data keeps identity, outbox and modules: {', '.join(sorted(path.name for path in data.iterdir()))}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
