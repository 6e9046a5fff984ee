"""Nodes: what the coordinator sees of each, the four terms of its score, and what is needed to add one."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from bus.messages import Capabilities, NodeState
from bus.messages.task import Token
from gateway.resources.board import NodeSample
from gateway.resources.common import Count

__all__ = [
    "Draining",
    "NodeDecision",
    "NodeDetail",
    "NodePage",
    "NodeSummary",
    "Registered",
    "Registration",
    "Telemetry",
    "Terms",
]


class Terms(Struct, frozen=True, kw_only=True):
    """The weighted parts of a score, which add up to it: at most 0.4, 0.3, 0.2 and 0.1."""

    bandwidth: float = 0.0
    latency: float = 0.0
    load: float = 0.0
    reputation: float = 0.0


class Telemetry(Struct, frozen=True, kw_only=True):
    """What a node last said of itself: free shares 0..1, joules since its start."""

    latency_ms: float
    bandwidth_mbps: float
    cpu_free: float
    memory_free: float
    temperature_c: float | None
    energy_j: float
    energy_method: str
    errors: Count = 0
    safe_mode: str


class NodeSummary(Struct, frozen=True, kw_only=True):
    """One node in a list."""

    node: str
    state: NodeState
    score: float
    terms: Terms
    open: Count
    slots: Count
    seen_ms_ago: Count
    region: str = ""
    node_type: str = ""
    safe_mode: str = ""
    agreed: Count = 0
    dissented: Count = 0
    faulted: Count = 0


class NodePage(Struct, frozen=True, kw_only=True):
    """Nodes by name; `next` is the cursor of the next page, empty on the last. `total` and `states` are of all that the filters let through."""

    nodes: list[NodeSummary]
    next: str
    total: Count
    states: dict[str, int]


class NodeDecision(Struct, frozen=True, kw_only=True):
    """A task that was given to the node: when, which attempt, and what became of it."""

    task: str
    attempt: Count
    at_ms: Count
    sequence: Count
    state: str
    claimed: str = ""
    claimed_ms: Count = 0


class NodeDetail(Struct, frozen=True, kw_only=True):
    """One node: who it is, its score with its terms, its telemetry now and over the last minutes, its reputation, and its newest tasks."""

    node: str
    key: str
    state: NodeState
    score: float
    terms: Terms
    open: Count
    seen_ms_ago: Count
    reputation: float
    agreed: Count
    dissented: Count
    faulted: Count
    capabilities: Capabilities
    telemetry: Telemetry
    history: list[NodeDecision]
    samples: list[NodeSample]


class Registration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a new node is to be called and where it stands; without `id` the gateway chooses one."""

    id: Token | None = None
    region: Token | None = None
    node_type: Token | None = None
    labels: Annotated[dict[Token, Token], Meta(max_length=16)] = msgspec.field(default_factory=dict)
    slots: Annotated[int, Meta(ge=1, le=4096)] | None = None


class Registered(Struct, frozen=True, kw_only=True):
    """How to start the node. `join_token` holds the node's new private key: whoever has it is the node. It is told once and kept nowhere.

    `command` is for a machine with the package installed, `compose` a Compose file for one with containers. `nats` is where the node will connect.
    """

    id: str
    key: str
    join_token: str
    command: str
    compose: str
    nats: str


class Draining(Struct, frozen=True, kw_only=True):
    """How far a node is: `empty` is that nothing is left of it to wait for."""

    node: str
    state: NodeState
    open: Count
    empty: bool
    told: bool
