"""What each command prints with `--json`: the one place where that is written down, and a test validates real answers against it.

Stable means: within a minor version no field goes away, changes its type or its meaning; there may be more of them, so a script must not mind
fields that it does not know.
"""

from typing import Any, NamedTuple

import msgspec

from ambient import ClusterHealth
from ambient.backup import Manifest
from ambient.finding import Finding
from ambient.rates import NodeRate
from bus.messages import DrainReply, NodeView, TaskView, Verdict, WhyReply

__all__ = ["ANSWERS", "Answer", "fields"]


class Answer(NamedTuple):
    """One document a call, or one a line for as long as the command runs."""

    says: str
    type: Any
    a_line_each: bool = False


class Submitted(msgspec.Struct):
    """The name by which the task is asked for."""

    task: str


class Cancelled(msgspec.Struct):
    """`asked` is false where the task was over already; `state` is that before it was asked."""

    task: str
    asked: bool
    state: str


class Watched(msgspec.Struct):
    """One look; rates are null in the first."""

    health: ClusterHealth
    nodes: list[NodeView]
    tasks: list[TaskView]
    verdicts_per_s: float | None
    watts: float | None


class Topped(msgspec.Struct):
    """One node with what it does per second."""

    rate: NodeRate
    node: NodeView


class Server(msgspec.Struct):
    """Where it listens."""

    nats: str
    monitor: str
    cluster: str


class Status(msgspec.Struct):
    """What the node on this machine says of itself; `wrong` is empty where nothing is."""

    node: str
    pid: int
    connected: bool
    enrolled: bool
    state: str
    reason: str
    open: int
    slots: int
    beat_age_s: float | None
    wrong: str


class Added(msgspec.Struct):
    """`file` is what the servers include, `secret` the new private key's file: null where there is none, or where it was brought."""

    role: str
    name: str
    key: str
    file: str
    secret: str | None


class Removed(msgspec.Struct):
    """False where there was no such user."""

    removed: bool


class Listed(msgspec.Struct):
    """One whom the servers let in."""

    role: str
    name: str
    key: str


ANSWERS = {
    "run": Answer("The verdict, `output` as base64.", Verdict),
    "result": Answer("The verdict, `output` as base64.", Verdict),
    "submit": Answer("The task's name.", Submitted),
    "cancel": Answer("Whether it was asked for, and the state before.", Cancelled),
    "why": Answer("Where the task stands, and the reason node by node.", WhyReply),
    "tasks": Answer("A list of tasks, newest first.", list[TaskView]),
    "nodes": Answer("A list of nodes.", list[NodeView]),
    "top": Answer("A list of nodes with their rates, sorted.", list[Topped], a_line_each=True),
    "watch": Answer("Services, nodes, tasks and rates.", Watched, a_line_each=True),
    "health": Answer("Who leads, and who stands by.", ClusterHealth),
    "doctor": Answer("A list of findings.", list[Finding]),
    "server": Answer("Where it listens, once it does.", Server),
    "node drain": Answer("How the node is when the wait ended.", DrainReply),
    "node undrain": Answer("How the node is when the wait ended.", DrainReply),
    "node status": Answer("What the node says of itself.", Status),
    "backup": Answer("What is in the backup.", Manifest),
    "restore": Answer("What was in the backup.", Manifest),
    "user add": Answer("Who is let in now.", Added),
    "user remove": Answer("Whether there was such a user.", Removed),
    "user list": Answer("A list of those who are let in.", list[Listed]),
}
"""By command. What is not here (`up`, `demo`, `audit`, `check`, `receipt`, `verify`, the ledger's) prints a document that its own paper describes."""


def fields(answer: Answer) -> dict[str, list[tuple[str, str]]]:
    """The fields of the answer (of a member, where it is a list) and of every struct in it, by the struct's name, with their types in words of JSON."""
    kind = answer.type
    inner = kind.__args__[0] if getattr(kind, "__origin__", None) is list else kind
    _, structs = msgspec.json.schema_components([inner], ref_template="{name}")
    ordered = {inner.__name__: structs[inner.__name__], **structs}
    return {
        name: [(field, _worded(schema)) for field, schema in struct.get("properties", {}).items()]
        for name, struct in ordered.items()
    }


def _worded(schema: dict[str, Any]) -> str:
    """A type as people say it."""
    if "$ref" in schema:
        return str(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_worded(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        members = (
            [schema["items"]] if isinstance(schema.get("items"), dict) else schema.get("prefixItems", [])
        )
        return "list of " + ", ".join(map(_worded, members)) if members else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_worded(values)}" if isinstance(values, dict) else "object"
    return "base64" if schema.get("contentEncoding") == "base64" else str(kind)
