"""Options that many commands share, parsed once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter, validators

from ambient.settings import ConnectionSettings, resolve

__all__ = ["AT_LEAST_ONE", "PORT", "AccountReceipt", "Connection", "Submission"]

AT_LEAST_ONE = validators.Number(gte=1)
PORT = validators.Number(gte=0, lte=65535)

_CONNECTION = Group("Connection", sort_key=90)
_TASK = Group("Task", sort_key=50)
_RECEIPT = Group("Receipt", sort_key=50)


@Parameter(name="*", group=_CONNECTION)
@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where to speak and how to answer."""

    nats: Annotated[
        str | None, Parameter(help="NATS server(s). Default: $NATS_URL, or the local cluster.")
    ] = None
    cluster: Annotated[str | None, Parameter(help="Cluster. Default: $AMBIENT_CLUSTER, or `home`.")] = None
    client: Annotated[str | None, Parameter(help="In whose name. Default: $AMBIENT_CLIENT, or the user.")] = (
        None
    )
    json: Annotated[bool, Parameter(help="Print JSON instead of text.", negative="", show_default=False)] = (
        False
    )

    @property
    def settings(self) -> ConnectionSettings:
        """The settled settings; raises `Malformed`."""
        return resolve(self.nats, cluster=self.cluster, client=self.client)


@Parameter(name="*", group=_TASK)
@dataclass(frozen=True, kw_only=True)
class Submission:
    """What `run` and `submit` say about a task."""

    entry: Annotated[str | None, Parameter(help="Exported function; a command's `_start` if not given.")] = (
        None
    )
    input: Annotated[
        str | None,
        Parameter(allow_leading_hyphen=True, help="File that becomes the guest's stdin; `-` is ours."),
    ] = None
    verify: Annotated[str, Parameter(help="`signature`, or `quorum:2/3`.")] = "signature"
    id: Annotated[
        str | None, Parameter(help="Task id of your choice; the same id twice is the same task.")
    ] = None
    env: Annotated[
        dict[str, str], Parameter(show_default=False, help="Guest's environment: `--env.NAME VALUE`.")
    ] = field(default_factory=dict)
    memory_mb: Annotated[int | None, Parameter(help="Memory limit; 512.")] = None
    fuel: Annotated[int | None, Parameter(help="Instruction limit; 10 billion.")] = None
    wall_ms: Annotated[int | None, Parameter(help="Wall time limit; 30,000.")] = None
    output_bytes: Annotated[int | None, Parameter(help="Output limit; 1 MiB.")] = None
    region: Annotated[str | None, Parameter(help="Run only in this region.")] = None
    node_type: Annotated[
        tuple[str, ...],
        Parameter(show_default=False, negative="", help="Run only on these types of node."),
    ] = ()
    label: Annotated[
        dict[str, str],
        Parameter(show_default=False, help="Run only where the label is: `--label.gpu yes`."),
    ] = field(default_factory=dict)
    on_node: Annotated[str | None, Parameter(help="Run on this node.")] = None
    priority: Annotated[int, Parameter(help="0 to 9; each step is worth 10 s of waiting.")] = 4
    deadline_s: Annotated[float | None, Parameter(help="Give up after so many seconds.")] = None
    max_attempts: Annotated[int, Parameter(help="Attempts before it fails.")] = 5
    reward: Annotated[int, Parameter(help="The most that it may cost, in msat of our deposit.")] = 0
    price: Annotated[int, Parameter(help="Within it, msat for 10⁹ fuel to each node that agrees.")] = 0


@Parameter(name="*", group=_RECEIPT)
@dataclass(frozen=True, kw_only=True)
class AccountReceipt:
    """What is to be written of an account, for `ambient verify`."""

    receipt: Annotated[Path | None, Parameter(help="Also write the receipt to this file.")] = None
    wait: Annotated[
        bool,
        Parameter(
            negative="",
            help="Until what is known now is published under enough blocks, where the cluster does that.",
        ),
    ] = False
    published: Annotated[
        bool,
        Parameter(
            negative="", help="Of the newest state that is published already, whatever has come since."
        ),
    ] = False
    timeout: Annotated[
        float | None,
        Parameter(validator=validators.Number(gt=0), help="Seconds to wait, then take what there is."),
    ] = None
