"""What of this machine a cluster or a node on it depends on: room on its disk, who may read its keys, who listens at its addresses.

Guarantees that a finding is a fact that was looked at just now, that nothing is changed, and that what is not on this machine is not
judged: without a folder of a cluster there is nothing to find here.
"""

import asyncio
import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ambient.finding import Finding

__all__ = ["SECRETS", "addresses", "disk", "permissions", "ports", "who_listens"]

SECRETS = ("identity", "cluster.json", "tokens.json", "*.key")
"""Files that nobody else may read, at any depth of a data folder."""
_LOOK_S = 2.0
_SCARCE = 0.1
_SCARCE_BYTES = 2 * 1024**3
_GIB = 1024**3


def disk(folder: Path) -> Finding:
    """Whether the file system below `folder` has room: logs that cannot grow refuse work, and an outbox keeps what was not sent."""
    room = shutil.disk_usage(folder)
    scarce = room.free < _SCARCE_BYTES or room.free < _SCARCE * room.total
    return Finding(
        "disk",
        ok=not scarce,
        detail=f"{room.free / _GIB:,.1f} of {room.total / _GIB:,.1f} GiB free at {folder}",
        cure="make room, or move the folder with `--data`: full logs refuse new work" if scarce else "",
    )


def permissions(folder: Path) -> Finding:
    """Whether what is secret below `folder` is: keys sign in our name, tokens open the gateway."""
    told = list(_too_open(folder))
    return Finding(
        "permissions",
        ok=not told,
        detail="; ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")  # noqa: PLR2004 -- a line
        if told
        else f"nobody else can read the keys or write to {folder}",
        cure=f"as their owner: `chmod -R go= {folder}`" if told else "",
    )


def _too_open(folder: Path) -> Iterator[str]:
    if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield f"others may write to {folder}"
    for pattern in SECRETS:
        for path in sorted(folder.rglob(pattern)):
            with contextlib.suppress(OSError):  # one that has gone meanwhile
                found = path.stat()
                if stat.S_ISREG(found.st_mode) and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    yield f"others may read {path}"
                if found.st_uid != os.geteuid() and os.geteuid() != 0:
                    yield f"{path} belongs to another user"


async def ports(described: dict[str, Any]) -> Finding:
    """Whether somebody listens at every address that `cluster.json` names."""
    named = addresses(described)
    there = await asyncio.gather(*(_listens(url) for url in named))
    silent = [url for url, listens in zip(named, there, strict=True) if not listens]
    return Finding(
        "ports",
        ok=not silent,
        detail=f"nobody listens at {', '.join(silent)}" if silent else f"all {len(named)} addresses of cluster.json take connections",
        cure=f"the process behind it is down: see the logs in {described.get('data', '.')}/logs" if silent else "",
    )  # fmt: skip


def addresses(described: Any) -> list[str]:
    """Every address in what `cluster.json` holds, once, without paths, whatever the keys are called."""
    found: dict[str, None] = {}
    waiting = [described]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str) and "://" in value:
            for url in value.split(","):
                with contextlib.suppress(ValueError):  # a text that only looks like an address
                    parts = urlsplit(url)
                    if parts.hostname and parts.port:
                        found[f"{parts.scheme}://{parts.hostname}:{parts.port}"] = None
    return list(found)


async def who_listens(nats: str) -> str:
    """Of each address of `nats`, who is there instead of a server that could be used; in words."""
    return "; ".join([f"{url}: {await _greeting(url)}" for url in nats.split(",")])


async def _greeting(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    try:
        async with asyncio.timeout(_LOOK_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 4222)
    except TimeoutError:
        return "no answer: a firewall may drop what is sent there"
    except OSError as error:
        return f"nobody listens ({error.strerror or error})"
    try:
        async with asyncio.timeout(_LOOK_S):
            line = await reader.readline()
    except (TimeoutError, OSError, ValueError):
        line = b""
    finally:
        writer.close()
    if not line.startswith(b"INFO "):
        return "something listens that is no NATS server: use another port"
    with contextlib.suppress(ValueError):
        if json.loads(line[5:]).get("auth_required"):
            return "a NATS server that wants credentials: put them into NATS_URL (nats://user:password@…)"
    return "a NATS server, which did not let us in"


async def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_LOOK_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
