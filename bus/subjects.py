"""The names on the bus: one place that knows how subjects and streams are spelt.

A cluster's subjects all begin with `avcp.<cluster>.`; names of clients, tasks, nodes and clusters are
tokens without a dot, so a task's full name `<client>.<id>` is at once the tail of its notice subject.
"""

import re
from dataclasses import dataclass

from bus.errors import Malformed

__all__ = ["DEFAULT_CLUSTER", "DEFAULT_URL", "LOGS", "TOKEN_PATTERN", "Subjects", "token"]

TOKEN_PATTERN = r"^[A-Za-z0-9_-]{1,64}(?!\n)$"  # noqa: S105 -- no secret: a word of a subject
"""Letters, digits, `_` and `-`: safe in a NATS subject, a file name, a label and a URL.

Python's `$` also matches before a final line break, other dialects' does not; the look-ahead makes them agree.
"""

DEFAULT_CLUSTER = "home"
DEFAULT_URL = "nats://127.0.0.1:4222"

LOGS = ("tasks", "assignments", "results", "verdicts")
"""The durable logs of what is computed, left to right, as in docs/architecture.md; `anchors` is the one of what is proven of it."""

_TOKEN = re.compile(TOKEN_PATTERN)


def token(field: str, value: str) -> str:
    """Return `value` if it is a token; raise `Malformed` naming `field` otherwise."""
    if not _TOKEN.match(value):
        raise Malformed(field, f"1 to 64 letters, digits, '_' or '-' are allowed, not {value[:80]!r}")
    return value


@dataclass(frozen=True, slots=True)
class Subjects:
    """Every subject and stream name of one cluster."""

    cluster: str = DEFAULT_CLUSTER

    def __post_init__(self) -> None:
        token("cluster", self.cluster)

    @property
    def root(self) -> str:
        """The prefix of all subjects of this cluster, without a trailing dot."""
        return f"avcp.{self.cluster}"

    def stream(self, log: str) -> str:
        """The JetStream stream that stores `log` (one of `LOGS`, or `blobs`)."""
        return f"AVCP_{self.cluster}_{log.upper()}"

    @property
    def leases(self) -> str:
        """The key-value bucket of the leadership leases."""
        return f"AVCP_{self.cluster}_LEASES"

    def submit(self, client: str) -> str:
        """Where `client` submits tasks."""
        return f"{self.root}.tasks.submit.{client}"

    def cancel(self, client: str) -> str:
        """Where `client` asks for a task to be cancelled."""
        return f"{self.root}.tasks.cancel.{client}"

    @property
    def assignments(self) -> str:
        """The log of decisions, written by the leading coordinator."""
        return f"{self.root}.assignments"

    def results(self, node: str) -> str:
        """Where `node` claims its results."""
        return f"{self.root}.results.{node}"

    @property
    def verdicts(self) -> str:
        """The log of what is accepted, written by the verifier."""
        return f"{self.root}.verdicts"

    @property
    def anchors(self) -> str:
        """The log of what was ordered, sealed and published, written by the anchor."""
        return f"{self.root}.anchors"

    def telemetry(self, node: str) -> str:
        """A node's heartbeat; `*` for those of all."""
        return f"{self.root}.telemetry.{node}"

    def assign(self, node: str) -> str:
        """What the coordinator tells one node."""
        return f"{self.root}.assign.{node}"

    def done(self, task: str) -> str:
        """The notice of one task's verdict; `task` is `<client>.<id>`, or a client for batches."""
        return f"{self.root}.done.{task}"

    def progress(self, task: str) -> str:
        """What happens to a task before its verdict."""
        return f"{self.root}.progress.{task}"

    def rejected(self, client: str) -> str:
        """Where a client hears why a submission was refused."""
        return f"{self.root}.rejected.{client}"

    def service(self, service: str, endpoint: str) -> str:
        """A question to a service, answered by request-reply."""
        return f"{self.root}.svc.{service}.{endpoint}"

    def blob(self, owner: str, digest_hex: str, chunk: int | str, *, kind: str = "blobs") -> str:
        """One chunk of a blob; `owner` may be `*` for a look-up by content. `kind` is the stream that holds it."""
        return f"{self.root}.{kind}.{owner}.{digest_hex}.{chunk}"

    def checkpoint(self, fold: str) -> str:
        """Where the manifests of a fold's checkpoints stand: `coordinator`, `verifier`, …; `*` for all."""
        return f"{self.root}.checkpoints.{fold}.manifest"
