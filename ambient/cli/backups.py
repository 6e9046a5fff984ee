"""`backup` and `restore`: a copy of a cluster that works, and the way back."""

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ambient.backup import Manifest, restore_files, take
from ambient.backup import restore as restore_logs
from ambient.cli.exits import Exit
from ambient.cli.options import Connection
from ambient.cli.output import err, print_json
from ambient.settings import default_data
from bus.connection import Bus

__all__ = ["backup", "restore"]

_CONNECT_S = 5.0
_Folder = Annotated[Path, Parameter(help="Folder of the backup.")]


async def backup(
    folder: _Folder,
    /,
    *,
    data: Annotated[
        Path | None,
        Parameter(
            help="Data folder whose keys and tokens are copied, too. Default: the local cluster's, where there is one."
        ),
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Copy a cluster's logs, blobs and keys while it works. The copy is secret: it holds keys, and what was asked and answered."""
    settings = connection.settings
    local = data or default_data(settings.cluster)
    async with await Bus.connect(
        settings.nats, cluster=settings.cluster, name="ambient-backup", timeout_s=_CONNECT_S
    ) as bus:
        manifest = await take(bus, folder, local if data is not None or local.is_dir() else None)
    _say(manifest, folder, connection, "are in")
    return Exit.OK


async def restore(
    folder: _Folder,
    /,
    *,
    data: Annotated[
        Path | None,
        Parameter(
            help="Data folder of `ambient up`, where it does not run: a server is started there for as long as it takes, and keys are put back. "
            "Default: the servers that `--nats` names."
        ),
    ] = None,
    connection: Connection = Connection(),
) -> Exit:
    """Make a cluster's logs anew from a backup, on servers that have none of them; start its services afterwards."""
    settings = connection.settings
    if data is None:
        async with await Bus.connect(
            settings.nats, cluster=settings.cluster, name="ambient-restore", timeout_s=_CONNECT_S
        ) as bus:
            manifest = await restore_logs(bus, folder)
    else:
        from bus.server import NatsServer  # noqa: PLC0415 -- an extra

        async with (
            NatsServer(data / "nats") as server,
            await Bus.connect(server.url, cluster=settings.cluster, name="ambient-restore") as bus,
        ):
            manifest = await restore_logs(bus, folder)
        restore_files(manifest, folder, data)
    _say(manifest, folder, connection, "were restored from")
    return Exit.OK


def _say(manifest: Manifest, folder: Path, connection: Connection, done: str) -> None:
    if connection.json:
        print_json(manifest)
        return
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.begun_ms / 1000))
    size = sum(each.bytes for each in manifest.logs)
    err.print(
        f"{len(manifest.logs)} logs of cluster {manifest.cluster} ({size / 1e6:,.1f} MB) and {len(manifest.files)} keys {done} {folder}: as of {taken} UTC"
    )
