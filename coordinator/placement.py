"""Which nodes get which tasks: a whole batch of requests at once, in numpy.

Guarantees, for every answer of `choose`:

- replicas of a task are on different nodes, each of which meets all of the task's constraints and is not excluded;
- no node gets more than its room (`coordinator.room`), counting what the same batch gives it;
- a task gets all its replicas or None; requests of equal kind are served in their order;
- requests of one kind without exclusions are placed as far as any placement could;
- the same registry, requests, strategy state and generator give the same answer.

`choose` changes nothing but the strategy's turn: the caller writes the decision, then takes the room. Left to others: which
requests come first (`coordinator.core`), and how nodes are ranked (`coordinator.strategies`).

Requests of a kind share one ranking: `_order` lists the places of the nodes, cheapest first, and `coordinator.dealing` gives
them out. Which task of a batch gets which node follows from that order, so under a strategy that draws nobody can
steer a task by its place in a batch.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from coordinator.columns import Rows
from coordinator.constraints import Request
from coordinator.dealing import Hand, Queue, deal, merge, merge_many
from coordinator.explanation import explain
from coordinator.fit import Caps, Fit, placeable
from coordinator.health import Floats
from coordinator.registry import Registry
from coordinator.strategies import Strategy

__all__ = ["Hand", "Request", "choose", "explain", "is_hopeless"]

_WINDOW = 64
"""How far a later request may overtake one of another kind when there is no room for all."""

_FEW_NODES = 16
_FEW_REQUESTS = 8
"""Up to so many, Python's lists are quicker than numpy's arrays."""

_MEMO_LIMIT = 256
"""Demands remembered between two heartbeats: clients choose them, so their number must be bounded."""


def choose(
    registry: Registry,
    requests: Sequence[Request],
    strategy: Strategy,
    now_ms: int,
    rng: np.random.Generator,
) -> list[Hand]:
    """For each request the rows of its nodes, or None where it cannot be placed entirely now.

    Requests of different kinds may overtake each other while there is room for all of them; if there is not, by
    at most 64 places.
    """
    if not requests or not len(registry):
        return [None] * len(requests)
    if len(requests) == 1:
        return _Batch(registry, strategy, now_ms, rng).serve(requests)
    turn = strategy.turn
    groups = _by_kind(requests)
    placed = _Batch(registry, strategy, now_ms, rng).place(requests, groups)
    # Where nothing at all could be placed, the order made no difference.
    if len(groups) > 1 and None in placed and any(placed):
        strategy.turn = turn
        batch = _Batch(registry, strategy, now_ms, rng)
        placed = []
        for start in range(0, len(requests), _WINDOW):
            window = requests[start : start + _WINDOW]
            placed += batch.place(window, _by_kind(window))
    return placed


def is_hopeless(registry: Registry, request: Request, now_ms: int) -> bool:
    """Whether too few nodes fit the request, whatever their room: only other nodes could take it."""
    fit = _fit(registry, request, now_ms)
    fitting = len(fit.rows)
    if request.excluded:
        fitting -= int(np.isin(fit.rows, list(request.excluded)).sum())
    return fitting < request.replicas


def _by_kind(requests: Sequence[Request]) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(request.kind, []).append(index)
    return list(groups.values())


def _fit(nodes: Registry, request: Request, now_ms: int) -> Fit:
    memo = nodes.memo
    fit: Fit | None = memo.get(request.demand)
    if fit is None or fit.until_ms < now_ms:
        if len(memo) >= _MEMO_LIMIT:
            memo.clear()
        fit = memo[request.demand] = Fit(nodes, request, now_ms)
    return fit


class _Batch:
    """One batch while it is being placed: `used` is what each row would hold, a copy once something is placed."""

    def __init__(self, nodes: Registry, strategy: Strategy, now_ms: int, rng: np.random.Generator) -> None:
        self.nodes = nodes
        self.strategy = strategy
        self.now_ms = now_ms
        self.rng = rng
        self.used = nodes.used

    def place(self, requests: Sequence[Request], groups: list[list[int]]) -> list[Hand]:
        """Serve each kind as a whole, in the order of their first requests."""
        if len(groups) == 1:
            return self.serve(requests)
        placed: list[Hand] = [None] * len(requests)
        for indices in groups:
            answers = self.serve([requests[index] for index in indices])
            self.take(requests[indices[0]].weight, answers)
            for index, rows in zip(indices, answers, strict=True):
                placed[index] = rows
        return placed

    def serve(self, requests: Sequence[Request]) -> list[Hand]:
        """Place requests of one kind as if they were all there is."""
        first = requests[0]
        fit = _fit(self.nodes, first, self.now_ms)
        if not len(fit.rows):
            return [None] * len(requests)
        if len(fit.rows) <= _FEW_NODES and (first.excluded or len(requests) <= _FEW_REQUESTS):
            turn = self.strategy.turn
            placed = self._one_by_one(requests, fit)
            # In turn, quorums may use up the nodes that the last of them needed; dealt together they may all fit.
            if None not in placed or len(requests) == 1 or first.replicas == 1 or first.excluded:
                return placed
            self.strategy.turn = turn
        if first.excluded and len(requests) > 1:
            return self._walk(requests, fit)
        return self._deal(first, len(requests), fit)

    def take(self, weight: int, placed: Iterable[Hand]) -> None:
        """Let the rest of the batch see what `placed` uses."""
        rows = [row for rows in placed if rows for row in rows]
        if not rows:
            return
        if self.used is self.nodes.used:
            self.used = self.used.copy()
        if len(rows) <= _FEW_NODES:
            for row in rows:
                self.used[row] += weight
        else:
            np.add.at(self.used, rows, weight)

    def _one_by_one(self, requests: Sequence[Request], fit: Fit) -> list[Hand]:
        """Place requests in turn; without arrays, so for few nodes only."""
        strategy, around, draws = self.strategy, len(self.nodes), self.strategy.draws
        members, used = fit.few(strategy), self.used[fit.rows].tolist()
        placed: list[Hand] = []
        for request in requests:
            weight, excluded = request.weight, request.excluded
            chances = self.rng.standard_exponential(len(used)).tolist() if draws else used
            found = []
            for at, (row, limit, base, per_tick, step) in enumerate(members):
                if limit - used[at] >= weight and row not in excluded:
                    cost = base + (step * chances[at] if draws else per_tick * used[at])
                    found.append(((cost - strategy.turn) % around if strategy.turns else cost, at))
            if len(found) < request.replicas:
                placed.append(None)
                continue
            found.sort()
            rows = []
            for _, at in found[: request.replicas]:
                used[at] += weight
                rows.append(members[at][0])
            strategy.turn = (rows[-1] + 1) % around
            placed.append(tuple(rows))
        return placed

    def _deal(self, request: Request, wanted: int, fit: Fit) -> list[Hand]:
        """Place `wanted` requests like this one, as many of them as can be."""
        caps = fit.caps(self.used, request.weight, wanted, request.excluded)
        count = placeable(caps, wanted, request.replicas)
        if not count:
            return [None] * wanted
        if count < wanted:
            caps = fit.caps(self.used, request.weight, count, request.excluded)
        order = self._order(fit, caps, count * request.replicas, request.weight)
        self.strategy.turn = (order[-1] + 1) % len(self.nodes)
        placed: list[Hand] = list(deal(order, count, request.replicas))
        placed += [None] * (wanted - count)
        return placed

    def _walk(self, requests: Sequence[Request], fit: Fit) -> list[Hand]:
        """Place requests that exclude different rows: they share one order, and leave to the next what they may not take.

        A request that goes short so is tried by itself, so it is only unplaced if the room left does not do.
        """
        first, most = requests[0], max(len(request.excluded) for request in requests)
        caps = fit.caps(self.used, first.weight, len(requests), ())
        places = min(int(caps.sum()), len(requests) * first.replicas + most + first.replicas)
        line = Queue(self._order(fit, caps, places, first.weight) if places else [])
        placed: list[Hand] = [line.take(request.replicas, request.excluded) for request in requests]
        before, hopeless = self.used, set[frozenset[int]]()
        self.used = before.copy()
        self.take(first.weight, placed)
        for index, request in enumerate(requests):
            if placed[index] is None and request.excluded not in hopeless:
                placed[index] = rows = self._deal(request, 1, fit)[0]
                self.take(request.weight, [rows])
                if rows is None:
                    hopeless.add(request.excluded)
        self.used = before
        self.strategy.turn = next((rows[-1] + 1 for rows in reversed(placed) if rows), self.strategy.turn)
        return placed

    def _order(self, fit: Fit, caps: Caps, places: int, weight: int) -> list[int]:
        """The rows of the cheapest `places` places, cheapest first, at most `caps` in each row; there must be as many."""
        live = np.flatnonzero(caps)
        cost, step = self._costs(fit, live, weight)
        left = caps[live]
        rng = self.rng if self.strategy.draws else None
        if len(live) >= places:
            order: list[int] = fit.rows[live[merge_many(cost, step, left, places, rng)]].tolist()
            return order
        draws = rng.standard_exponential(places).tolist() if rng is not None else None
        rows: list[int] = fit.rows[live].tolist()
        return [rows[i] for i in merge(cost.tolist(), step.tolist(), left.tolist(), places, draws)]

    def _costs(self, fit: Fit, live: Rows, weight: int) -> tuple[Floats, Floats]:
        """What the first place on each of these rows of `fit` costs, and each further one more."""
        strategy = self.strategy
        base, per_tick, step = (column[live] for column in fit.line(strategy))
        if strategy.draws:
            return base + step * self.rng.standard_exponential(len(live)), step
        cost = base + per_tick * self.used[fit.rows[live]]
        if strategy.turns:
            cost = (cost - strategy.turn) % len(self.nodes)
        return cost, step + per_tick * weight
