"""Why a task is not placed, node by node: the same checks as placement makes, told instead of counted.

Guarantees that a node said not to fit is one that `choose` would not take now. The answer is bounded, whatever the
size of the cluster: the nodes that fit best first, then those that do not, then how many more there are of each.
"""

from itertools import chain

import numpy as np

from bus.messages import NodeReason
from coordinator.columns import Rows
from coordinator.constraints import Request, node_checks, task_checks
from coordinator.registry import Registry
from coordinator.strategies import Strategy

__all__ = ["EXPLAINED_NODES", "REST", "explain"]

EXPLAINED_NODES = 200
"""Nodes in one answer: what a person may read and a message holds."""

REST = "*"
"""Stands in place of a node's name for all that are not listed; no node can be called so."""


def explain(registry: Registry, request: Request, strategy: Strategy, now_ms: int) -> list[NodeReason]:
    """For each node why it cannot take `request` now (the first reason), or its score if it can (`chosen` is true).

    At most 200 nodes, fit ones first and in the strategy's order of preference; the last entry may be
    `REST` with the numbers of the others. Where fewer nodes fit than the request has replicas, none would be chosen: the
    reason of the fit ones says so, and `chosen` is false.
    """
    left = np.ones(len(registry), dtype=np.bool_)
    unfit: list[NodeReason] = []
    for check in chain(node_checks(registry, request, now_ms), task_checks(registry, request)):
        failing = np.flatnonzero(left & ~check.meets)[: EXPLAINED_NODES - len(unfit)]
        left &= check.meets
        unfit += [NodeReason(registry.name(row), chosen=False, reason=check.why(row)) for row in failing]
    rows = np.flatnonzero(left)
    fit = _fitting(registry, request, strategy, rows)
    unfit = unfit[: EXPLAINED_NODES - len(fit)]
    more_fit, more = len(rows) - len(fit), len(registry) - len(fit) - len(unfit)
    if not more:
        return fit + unfit
    reason = f"{more} more nodes: {more_fit} fit, {more - more_fit} do not"
    return [*fit, *unfit, NodeReason(REST, chosen=False, reason=reason)]


def _fitting(registry: Registry, request: Request, strategy: Strategy, rows: Rows) -> list[NodeReason]:
    base, per_tick, step = strategy.line(registry, rows)
    scores = 1.0 / step if strategy.draws else base + per_tick * registry.used[rows]
    if strategy.turns:
        scores = (scores - strategy.turn) % len(registry)
    order = np.argsort(-scores if strategy.draws else scores, kind="stable")[:EXPLAINED_NODES]
    enough = len(rows) >= request.replicas
    short = "" if enough else f", but the task needs {request.replicas} nodes at once and {len(rows)} fit"
    reason = f"fits ({strategy.scale}){short}"
    return [
        NodeReason(registry.name(row), chosen=enough, reason=reason, score=score)
        for row, score in zip(rows[order].tolist(), scores[order].tolist(), strict=True)
    ]
