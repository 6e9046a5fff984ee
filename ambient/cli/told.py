"""What commands print with `--json` where no other part has a struct for it: made by the command, so that what is documented is what is printed.

Every field says below itself what it is, in which unit, and what it is where there is nothing to say: `ambient.cli.answers` reads these words.
"""

from typing import Any, Literal

import msgspec

from ambient.questions import ClusterHealth
from ambient.rates import NodeRate
from bus.messages import (
    BalanceReply,
    Burn,
    Credit,
    EnergyReply,
    NodeView,
    OrderReply,
    PurseReply,
    TaskView,
)
from sandbox.module import ModuleReport

__all__ = [
    "AccountShown",
    "Balance",
    "Block",
    "Broken",
    "Cancelled",
    "Carried",
    "Checked",
    "Energy",
    "Failed",
    "ProofShown",
    "ReceiptShown",
    "Run",
    "Server",
    "Status",
    "Submitted",
    "TokenMade",
    "TokenShown",
    "TokensEnded",
    "Topped",
    "Watched",
]


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer: printed instead of one by whichever command ends with an error."""

    error: str
    """What is wrong and what to do next, in one sentence: the one that is also on standard error."""
    code: int
    """The exit code."""
    reason: str
    """The exit code's name, as `ambient --help` has it: `usage`, `unavailable`, `full` …"""
    field: str = ""
    """The option, argument or field of the task that is at fault; empty where none is."""
    limit: str = ""
    """What is allowed there; empty where no field is at fault."""


class Broken(Failed, frozen=True, kw_only=True):
    """A receipt or proof that does not hold: an error that says where."""

    holds: bool = False
    """False."""
    link: str
    """The link of the chain that is broken; empty where the file is no receipt at all."""


class Submitted(msgspec.Struct, frozen=True):
    """The name by which the task is asked for."""

    task: str
    """`<client>.<id>`."""


class Cancelled(msgspec.Struct, frozen=True):
    """What came of it."""

    task: str
    """`<client>.<id>`."""
    asked: bool
    """Whether it was asked to be cancelled; false where it was over already."""
    state: str
    """The state before; `unknown` where no coordinator answers, or it knows no such task."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One look."""

    health: ClusterHealth
    """The services."""
    nodes: list[NodeView]
    """The nodes that are there."""
    tasks: list[TaskView]
    """The newest tasks."""
    verdicts_per_s: float | None
    """Verdicts per second since the look before; null in the first."""
    watts: float | None
    """Power of all nodes together, in watts; null where none is known, as in the first look."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a module that was checked."""

    status: str
    """`ok`, `failed` (by the guest itself) or `fault` (of this machine)."""
    reason: str
    """Why it did not end well, in one word; empty where it did."""
    detail: str
    """The same for people; may differ between machines."""
    exit_code: int
    """The guest's exit status; 0 of a function."""
    output: bytes
    """Standard output, or a function's results as text."""
    stderr: bytes
    """Standard error."""
    fuel: int
    """Instructions, about."""
    peak_memory_bytes: int
    """The most linear memory that it had, in bytes."""
    wall_ms: float
    """Time that passed, in milliseconds."""
    cpu_ms: float
    """Time on the processor, in milliseconds."""
    trace: str
    """SHA-256 in hex over what went in, each host call, what came out and the fuel; empty for a fault."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a module."""

    fit: bool
    """Whether it can run here and, as far as two runs tell, anywhere alike."""
    module: ModuleReport | None
    """What its bytes say; null where they are no module."""
    entry: str
    """The exported function that was run."""
    problem: str
    """Why it cannot run here, naming the field at fault; then nothing below was tried. Empty if it can."""
    compile_ms: float
    """Time of its compilation, in milliseconds."""
    compiled_bytes: int
    """Size of its machine code, in bytes."""
    runs: list[Run]
    """Of the same job in two separate processes."""
    differs: list[str]
    """Fields in which the runs differ; empty if the module is deterministic as far as this can tell."""


class Topped(msgspec.Struct, frozen=True):
    """One node with what it does per second."""

    rate: NodeRate
    """What it did since the look before."""
    node: NodeView
    """How it is."""


class Server(msgspec.Struct, frozen=True):
    """Where it listens."""

    nats: str
    """Address for clients."""
    monitor: str
    """Address of the server's own figures, over HTTP."""
    cluster: str
    """The cluster that was set up on it."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What the node on this machine says of itself."""

    node: str
    """Its name."""
    pid: int
    """Its process id."""
    connected: bool
    """Whether it has the bus."""
    enrolled: bool
    """Whether the coordinator knows it under its key."""
    state: str
    """`starts`, `works`, `safe` or `draining`."""
    reason: str
    """Why it is in safe mode; empty where it is not."""
    open: int
    """Attempts that it holds."""
    slots: int
    """Guests at a time."""
    beat_age_s: float | None
    """Seconds since its last heartbeat; null before the first."""
    wrong: str
    """What is wrong with it, the reason for exit code 1; empty where nothing is."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The Bitcoin block that a receipt shows."""

    txid: str
    """The transaction that commits to the state, in hex as block explorers show it."""
    block: str
    """The block's hash, likewise."""
    height: int
    """Blocks before it."""
    time_s: int
    """By the block's own clock, in seconds since 1970."""
    work: str
    """Hashes that the shown blocks took to make on average, in decimal: more than a number of JSON holds exactly."""


class ReceiptShown(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a task, and what it shows."""

    holds: bool = True
    """True."""
    file: str
    """The file of the receipt."""
    bytes: int
    """Its size."""
    task: str
    """`<client>.<id>`."""
    status: str
    """How the task ended: `verified`, `failed`, `cancelled` or `expired`."""
    output_digest: str
    """SHA-256 of the output, in hex; empty where there is none."""
    verifier_key: str
    """The key that signed the verdict, in hex."""
    log: str
    """The origin (name) of the log that has the verdict."""
    leaf: int
    """Which entry of the log it is, from 0."""
    size: int
    """Entries of the log in the signed state that the receipt shows."""
    witnesses: dict[str, int]
    """Who else signed that state: time of the cosignature, in seconds since 1970, by the witness's name."""
    nodes: dict[str, str]
    """The key, in hex, that signed each counted result, by node, as far as the receipt has the evidence."""
    block: Block | None
    """Where the state is published; null where the receipt shows no block."""
    proven: list[str]
    """What is proven, in sentences."""
    unproven: list[str]
    """What is not, in sentences."""


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of an account, and what it shows."""

    holds: bool = True
    """True."""
    tree: str
    """`accounts` or `energy`."""
    name: str
    """`client/<name>` or `node/<name>`; of energy with the month behind it."""
    leaf: dict[str, Any] | None
    """What the ledger holds under this name, as docs/ledger.md says; null where it holds nothing."""
    state: dict[str, Any]
    """The line of ANCHORS that states the ledger, as docs/ledger.md says."""
    log_key: str
    """The key that signed the state, as a C2SP vkey."""
    block: Block | None
    """Where the state is published; null where the receipt shows no block."""
    proven: list[str]
    """What is proven, in sentences."""
    unproven: list[str]
    """What is not, in sentences."""


class ProofShown(msgspec.Struct, frozen=True, kw_only=True):
    """A proof from the ledger, and what it shows."""

    holds: bool = True
    """True."""
    tree: str
    """`accounts` or `energy`."""
    name: str
    """`client/<name>` or `node/<name>`; of energy with the month behind it."""
    leaf: dict[str, Any] | None
    """What the ledger holds under this name, as docs/ledger.md says; null where it holds nothing."""
    state: dict[str, Any]
    """The line of ANCHORS that states the ledger, as docs/ledger.md says."""
    commitment: str
    """The 32 bytes that stand for the state wherever it is published, in hex."""


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account holds."""

    balance: int
    """Received less given, in msat."""
    balance_of: BalanceReply
    """What the anchor answered."""
    purse: PurseReply | None
    """What the coordinator holds of it; null of a node's account, and where no coordinator answers."""
    receipt: AccountShown | None
    """What the receipt shows; null without `--receipt`."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """What a month of work took."""

    energy_of: EnergyReply
    """What the anchor answered."""
    receipt: AccountShown | None
    """What the receipt shows; null without `--receipt`."""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's order, and what came of it."""

    order: Credit | Burn
    """What was signed."""
    reply: OrderReply
    """Whether it is carried out."""


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new token."""

    name: str
    """What it is called in lists and logs."""
    role: Literal["viewer", "client", "operator"]
    """What it may."""
    client: str
    """In whose name it submits."""
    token: str
    """The token itself: only its hash is kept, so this is the only time that it is told."""


class TokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its secret."""

    id: str
    """Its public part, 8 hex digits."""
    name: str
    """What it is called in lists and logs."""
    role: Literal["viewer", "client", "operator"]
    """What it may."""
    client: str
    """In whose name it submits."""
    created: str
    """When it was made: RFC 3339, in UTC."""


class TokensEnded(msgspec.Struct, frozen=True):
    """Which tokens are no more."""

    name: str
    """The name or id that was given."""
    ended: int
    """How many tokens had it."""
