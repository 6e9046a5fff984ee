"""What an operator sets for one anchor process."""

import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult

from anchor.bitcoin.opening import ChainSettings
from anchor.bitcoin.remote.http import parse_url
from anchor.errors import SettingsRefused
from anchor.receipt.errors import Malformed as NotAKey
from anchor.receipt.note import COSIGNATURE, Key, read_key
from bus.connection import cluster_from_environment, url_from_environment
from bus.errors import Malformed
from bus.subjects import token
from metrics.page import LOOPBACK

__all__ = ["AnchorSettings"]

_MOST_ORIGIN = 200
_OPERATOR = re.compile("[0-9a-f]{64}")


def _default_name() -> str:
    host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"anchor-{host}-{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorSettings:
    """One anchor: `data` holds the log (`log/`, for any web server), its messages, and copies of checkpoints.

    `key` is the file of the key that signs the log, the same for all anchors of a cluster (`data`'s `identity` where none is given), `origin` the
    log's name for ever (None: one of cluster and key). A state is signed every `every_s` at most, and shown once `quorum` of
    `witnesses` (C2SP vkeys, with a space and a URL those that are to be asked) have cosigned it. `operators` are the keys (64 hex digits) that may order credits and burns, and the ledger's state is
    sealed every `ledger_every_s` at most. `bitcoin` says where the log is published (None: nowhere). `metrics_port` 0 serves no metrics.
    Raises `SettingsRefused`, naming field and limit.
    """

    data: Path
    url: str = field(default_factory=url_from_environment)
    cluster: str = field(default_factory=cluster_from_environment)
    name: str = field(default_factory=_default_name)
    key: Path | None = None
    origin: str | None = None
    every_s: float = 1.0
    witnesses: tuple[str, ...] = ()
    quorum: int = 0
    operators: tuple[str, ...] = ()
    ledger_every_s: float = 10.0
    bitcoin: ChainSettings | None = None
    checkpoint_s: float = 10.0
    metrics_port: int = 0
    metrics_host: str = LOOPBACK

    def __post_init__(self) -> None:
        for setting in ("cluster", "name"):
            try:
                token(setting, getattr(self, setting))
            except Malformed as error:
                raise SettingsRefused(error.field, error.limit) from None
        origin = self.origin
        if origin is not None and (
            not 1 <= len(origin) <= _MOST_ORIGIN or "+" in origin or any(c.isspace() for c in origin)
        ):
            raise SettingsRefused(
                "origin", f"1 to {_MOST_ORIGIN} characters, none of them a space or a plus sign"
            )
        if not 0.01 <= self.every_s <= 3600:  # noqa: PLR2004 -- a hundred signatures a second, one an hour
            raise SettingsRefused("every_s", f"0.01 to 3600 s are allowed, not {self.every_s:g}")
        for at, key in enumerate(self.operators):
            if not _OPERATOR.fullmatch(key):
                raise SettingsRefused(f"operators[{at}]", "must be a key: 64 hex digits, in lower case")
        if not 0.01 <= self.ledger_every_s <= 3600:  # noqa: PLR2004 -- as for the log's states
            raise SettingsRefused(
                "ledger_every_s", f"0.01 to 3600 s are allowed, not {self.ledger_every_s:g}"
            )
        _ = self.asked_witnesses
        if not 0 <= self.quorum <= len(self.witness_keys):
            raise SettingsRefused(
                "quorum", f"0 to {len(self.witnesses)}, as many as there are witnesses, not {self.quorum}"
            )

    @property
    def identity(self) -> Path:
        """The file of the key that signs the log."""
        return self.key or self.data / "identity"

    @property
    def witness_keys(self) -> tuple[Key, ...]:
        """The witnesses' keys. Raises `SettingsRefused`."""
        try:
            keys = tuple(
                read_key(each.partition(" ")[0], f"witnesses[{at}]") for at, each in enumerate(self.witnesses)
            )
        except NotAKey as error:
            raise SettingsRefused(error.field, error.limit) from None
        for at, key in enumerate(keys):
            if key.kind != COSIGNATURE or key in keys[:at]:
                raise SettingsRefused(f"witnesses[{at}]", "must be a cosigner's vkey (type 4), each one once")
        return keys

    @property
    def asked_witnesses(self) -> tuple[tuple[Key, SplitResult], ...]:
        """Those that are asked over HTTP, and where (the submission prefix). Raises `SettingsRefused`."""
        urls = [each.partition(" ")[2] for each in self.witnesses]
        return tuple(
            (key, parse_url(f"witnesses[{at}]", url))
            for at, (key, url) in enumerate(zip(self.witness_keys, urls, strict=True))
            if url
        )

    def origin_for(self, key: str) -> str:
        """The log's origin, for a key (hex): without a name of the operator's, no two logs have the same by accident."""
        return self.origin or f"ambient-vcp/{self.cluster}/{key[:16]}"
