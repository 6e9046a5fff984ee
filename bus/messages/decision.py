"""The lines of ASSIGNMENTS: what the leading coordinator decided, in the order in which it counts.

`Leader` opens a leadership in VERDICTS, too.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.messages.node import Capabilities
from bus.messages.task import Signature, VerifyPolicy

__all__ = ["Abandoned", "Assigned", "Decision", "Enrolled", "Leader", "Refused"]


class Leader(Struct, frozen=True, kw_only=True, tag="leader", tag_field="kind"):
    """The first write of a leadership, to ASSIGNMENTS or to VERDICTS; all lines up to the next one are of this epoch.

    Each of the two logs counts its own epochs.
    """

    epoch: int
    leader: str


class Enrolled(Struct, frozen=True, kw_only=True, tag="enrolled", tag_field="kind", omit_defaults=True):
    """A node joined or changed: its id belongs to `key` (Ed25519, hex) from the first such line on."""

    node: str
    key: str
    capabilities: Capabilities


class Assigned(Struct, frozen=True, kw_only=True, tag="assigned", tag_field="kind", omit_defaults=True):
    """Attempt `attempt` of a task goes to `nodes`.

    `spec`, `module` and `input` are SHA-256 digests (hex): of the submitted line, the module and the input, so that
    a result is bound to exactly what was asked. `source` is the task's (sequence, line) in TASKS. `together`
    says that it was submitted in a batch, so its notice travels in one, too. `replaces` names the nodes of earlier attempts
    that are given up (dead, gone, past their lease) and that this attempt makes good; a later attempt that replaces
    nobody answers an `inconclusive`. `reward` and `price` are the task's, of which the first attempt sets the reward aside. `path` says how
    the task came in, as far as who submitted it said so: here and elsewhere it is for logs and traces alone.
    """

    task: str
    attempt: int
    nodes: tuple[str, ...]
    source: tuple[int, int]
    spec: str
    module: str
    input: str
    lease_ms: int
    verify: VerifyPolicy = Signature()
    together: bool = False
    replaces: tuple[str, ...] = ()
    reward: int = 0
    price: int = 0
    path: str = ""


class Abandoned(Struct, frozen=True, kw_only=True, tag="abandoned", tag_field="kind", omit_defaults=True):
    """The coordinator gives a task up: cancelled, past its deadline, or out of attempts."""

    task: str
    source: tuple[int, int]
    status: Literal["cancelled", "expired", "failed"]
    reason: str
    detail: str = ""
    spec: str = ""
    module: str = ""
    input: str = ""
    verify: VerifyPolicy = Signature()
    together: bool = False
    path: str = ""


class Refused(Struct, frozen=True, kw_only=True, tag="refused", tag_field="kind", omit_defaults=True):
    """A submission that is no task: `field` and `limit` say what must change. Also the body of the notice."""

    client: str
    source: tuple[int, int]
    field: str
    limit: Annotated[str, Meta(max_length=2000)]
    task: str | None = None
    path: str = ""


Decision = Leader | Enrolled | Assigned | Abandoned | Refused
