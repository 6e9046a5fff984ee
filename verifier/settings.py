"""What an operator sets for one verifier process."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from bus.connection import cluster_from_environment, url_from_environment
from bus.errors import Malformed
from bus.subjects import token
from metrics.page import LOOPBACK
from verifier.errors import SettingsRefused

__all__ = ["VerifierSettings"]

_MIB = 1024 * 1024


def _default_name() -> str:
    host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"verifier-{host}-{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSettings:
    """One verifier: `data` holds its identity, and copies of checkpoints; `name` tells it from its standbys in the lease and in `health`.

    `kept_bytes` bounds the verdict lines kept in memory for questions; older ones are read from the log again. A checkpoint is made
    every `checkpoint_s` at most. `metrics_port` 0 serves no metrics.
    Raises `SettingsRefused`, naming field and limit.
    """

    data: Path
    url: str = field(default_factory=url_from_environment)
    cluster: str = field(default_factory=cluster_from_environment)
    name: str = field(default_factory=_default_name)
    kept_bytes: int = 32 * _MIB
    checkpoint_s: float = 5.0
    metrics_port: int = 0
    metrics_host: str = LOOPBACK

    def __post_init__(self) -> None:
        for setting in ("cluster", "name"):
            try:
                token(setting, getattr(self, setting))
            except Malformed as error:
                raise SettingsRefused(error.field, error.limit) from None
        if not 0 <= self.kept_bytes <= 2**40:
            raise SettingsRefused("kept_bytes", f"0 to 2^40 bytes are allowed, not {self.kept_bytes}")

    @property
    def identity(self) -> Path:
        """The file of the key that signs the verdicts."""
        return self.data / "identity"
