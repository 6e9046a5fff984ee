"""Where the bus is and in whose name we speak: one order of precedence for the SDK and every command.

An explicit argument wins over the environment (`NATS_URL`, `AMBIENT_CLUSTER`, `AMBIENT_CLIENT`), that over a settings file
(`AMBIENT_CONFIG`, `./ambient.toml`, `~/.config/ambient/config.toml`), that over a local cluster started by `ambient up`,
and that over the defaults.
"""

import getpass
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.errors import Malformed
from bus.subjects import DEFAULT_CLUSTER, DEFAULT_URL, token

__all__ = ["ConnectionSettings", "default_data", "read_cluster_file", "resolve", "settings_files"]

_KEYS = {"nats": "NATS_URL", "cluster": "AMBIENT_CLUSTER", "client": "AMBIENT_CLIENT"}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """The address of the bus, the cluster's name and the client's."""

    nats: str
    cluster: str
    client: str


def default_data(cluster: str = DEFAULT_CLUSTER) -> Path:
    """Where `ambient up` keeps a cluster unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "ambient" / cluster


def settings_files() -> list[Path]:
    """The settings files that are looked for, the first that exists is read."""
    if named := os.environ.get("AMBIENT_CONFIG"):
        return [Path(named)]
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return [Path("ambient.toml"), Path(base) / "ambient" / "config.toml"]


def resolve(
    nats: str | None = None, *, cluster: str | None = None, client: str | None = None
) -> ConnectionSettings:
    """Settle the three settings; raises `Malformed` naming the one that is no good."""
    given = {"nats": nats, "cluster": cluster, "client": client}
    file = _read_settings()
    found = {key: given[key] or os.environ.get(variable) or file.get(key) for key, variable in _KEYS.items()}
    name = token("cluster", found["cluster"] or DEFAULT_CLUSTER)
    address = found["nats"] or read_cluster_file(default_data(name)).get("nats") or DEFAULT_URL
    return ConnectionSettings(str(address), name, token("client", found["client"] or _user()))


def read_cluster_file(data: Path) -> dict[str, Any]:
    """What `ambient up` wrote about a cluster that still runs; empty where none does."""
    try:
        described: dict[str, Any] = json.loads((data / "cluster.json").read_bytes())
        os.kill(int(described["supervisor"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return described


def _read_settings() -> dict[str, str]:
    for path in settings_files():
        if path.exists():
            return _table(path)
        if os.environ.get("AMBIENT_CONFIG"):
            raise Malformed("AMBIENT_CONFIG", f"{path} does not exist: create it, or unset it")
    return {}


def _table(path: Path) -> dict[str, str]:
    import tomllib  # noqa: PLC0415 -- most machines have no settings file

    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Malformed(str(path), f"is no readable TOML: {error}") from None
    for key, value in table.items():
        if key not in _KEYS or not isinstance(value, str):
            raise Malformed(f"{path}: {key}", f"must be one of {', '.join(_KEYS)}, each a string")
    return table


def _user() -> str:
    """The user's name as a token; `me` where the machine has none to tell."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return "me"
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64] or "me"
