"""What an operator sets for one gateway process."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from bus.connection import cluster_from_environment, url_from_environment
from bus.errors import Malformed
from bus.subjects import token
from gateway.errors import SettingsRefused
from metrics.page import LOOPBACK

__all__ = ["DEFAULT_HTTP_PORT", "GatewaySettings"]

DEFAULT_HTTP_PORT = 3000


def _default_name() -> str:
    host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"gateway-{host}-{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """One gateway. `tokens` is the file of bearer tokens (the same for all gateways of a cluster).

    `body_bytes` is the most that a request's body may hold, `per_s` and `burst` how many requests a token may make (0: any number), `keep_tasks`
    how many tasks are remembered, `streams` how many event streams may be open. `origins` are the web origins that may call from a browser (CORS;
    none by default). `join_url` is what new nodes are told to connect to (None: what the gateway itself uses). Raises `SettingsRefused`.
    """

    tokens: Path
    url: str = field(default_factory=url_from_environment)
    cluster: str = field(default_factory=cluster_from_environment)
    name: str = field(default_factory=_default_name)
    host: str = LOOPBACK
    port: int = DEFAULT_HTTP_PORT
    per_s: float = 2000.0
    burst: float = 4000.0
    body_bytes: int = 90 * 1024 * 1024
    keep_tasks: int = 20_000
    streams: int = 256
    origins: tuple[str, ...] = ()
    join_url: str | None = None
    metrics_port: int = 0
    metrics_host: str = LOOPBACK

    def __post_init__(self) -> None:
        for setting in ("cluster", "name"):
            try:
                token(setting, getattr(self, setting))
            except Malformed as error:
                raise SettingsRefused(error.field, error.limit) from None
        for setting, least in (("body_bytes", 1024), ("keep_tasks", 100), ("streams", 1)):
            if getattr(self, setting) < least:
                raise SettingsRefused(setting, f"must be at least {least}, not {getattr(self, setting)}")
        if self.per_s < 0:
            raise SettingsRefused("per_s", f"must be 0 (no limit) or more, not {self.per_s:g}")
