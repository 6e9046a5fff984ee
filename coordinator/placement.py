"""Which nodes get which tasks: a whole batch of requests at once, in numpy.

Guarantees, for every answer of `choose`:

- replicas of a task are on different nodes, each of which meets all of the task's constraints and is not excluded;
- no node gets more than its room (`coordinator.room`), counting what the same batch gives it;
- a task gets all its replicas or None; requests of equal kind are served in their order;
- requests of one kind without exclusions are placed as far as any placement could;
- the same registry, requests, strategy state and generator give the same answer.

`choose` changes nothing but the strategy's turn: the caller writes the decision, then takes the room. Left to others: which
requests come first (`coordinator.core`), and how nodes are ranked (`coordinator.strategies`).

Requests of a kind share one ranking: `_sequence` lists the nodes' places, cheapest first. With r replicas, a node gets at most
one place per task, and the places, node by node, are dealt like cards: task k gets places k, k + m, k + 2m … of m r.
A node's places are contiguous and at most m, so no task meets the same node twice (McNaughton's wrap-around).
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

import numpy as np

from coordinator.constraints import Request
from coordinator.explanation import explain
from coordinator.fit import Caps, Fit, placeable
from coordinator.registry import Registry
from coordinator.strategies import Strategy

__all__ = ["Request", "choose", "explain"]

type Placed = tuple[int, ...] | None

_WINDOW = 64
"""How far a later request may overtake one of another kind when there is no room for all."""

_MEMO_LIMIT = 256
"""Demands remembered between two heartbeats: clients choose them, so their number must be bounded."""


def choose(
    registry: Registry,
    requests: Sequence[Request],
    strategy: Strategy,
    now_ms: int,
    rng: np.random.Generator,
) -> list[Placed]:
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
    if len(groups) > 1 and None in placed:
        strategy.turn = turn
        batch = _Batch(registry, strategy, now_ms, rng)
        placed = []
        for start in range(0, len(requests), _WINDOW):
            window = requests[start : start + _WINDOW]
            placed += batch.place(window, _by_kind(window))
    return placed


def _by_kind(requests: Sequence[Request]) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(request.kind, []).append(index)
    return list(groups.values())


class _Batch:
    """One batch while it is being placed: `used` is what each row would hold, a copy once something is placed."""

    def __init__(self, nodes: Registry, strategy: Strategy, now_ms: int, rng: np.random.Generator) -> None:
        self.nodes = nodes
        self.strategy = strategy
        self.now_ms = now_ms
        self.rng = rng
        self.used = nodes.used

    def place(self, requests: Sequence[Request], groups: list[list[int]]) -> list[Placed]:
        """Serve each kind as a whole, in the order of their first requests."""
        if len(groups) == 1:
            return self.serve(requests)
        placed: list[Placed] = [None] * len(requests)
        for indices in groups:
            answers = self.serve([requests[index] for index in indices])
            self.take(requests[indices[0]].weight, answers)
            for index, rows in zip(indices, answers, strict=True):
                placed[index] = rows
        return placed

    def serve(self, requests: Sequence[Request]) -> list[Placed]:
        """Place requests of one kind as if they were all there is."""
        first = requests[0]
        fit = self._fit(first)
        if not len(fit.rows):
            return [None] * len(requests)
        if len(requests) == 1 or not first.excluded:
            return self._deal(first, len(requests), fit)
        return self._walk(requests, fit)

    def take(self, weight: int, placed: Iterable[Placed]) -> None:
        """Let the rest of the batch see what `placed` uses."""
        rows = [row for rows in placed if rows for row in rows]
        if rows:
            self.used = self.used + (np.bincount(rows, minlength=len(self.used)) * weight).astype(np.int32)

    def _fit(self, request: Request) -> Fit:
        memo = self.nodes.memo
        fit: Fit | None = memo.get(request.demand)
        if fit is None or fit.until_ms < self.now_ms:
            if len(memo) >= _MEMO_LIMIT:
                memo.clear()
            fit = memo[request.demand] = Fit(self.nodes, request, self.now_ms)
        return fit

    def _deal(self, request: Request, wanted: int, fit: Fit) -> list[Placed]:
        """Place `wanted` requests like this one, as many of them as can be."""
        caps = fit.caps(self.used, request.weight, wanted, request.excluded)
        count = placeable(caps, wanted, request.replicas)
        if not count:
            return [None] * wanted
        if count < wanted:
            caps = fit.caps(self.used, request.weight, count, request.excluded)
        order = self._order(fit, caps, count * request.replicas, request.weight)
        self.strategy.turn = (order[-1] + 1) % len(self.nodes)
        placed: list[Placed] = list(_dealt(order, count, request.replicas))
        placed += [None] * (wanted - count)
        return placed

    def _walk(self, requests: Sequence[Request], fit: Fit) -> list[Placed]:
        """Place requests that exclude different rows: they share one order, and leave to the next what they may not take.

        A request that goes short so is tried by itself, so it is only unplaced if the room left does not do.
        """
        first, most = requests[0], max(len(request.excluded) for request in requests)
        caps = fit.caps(self.used, first.weight, len(requests), ())
        places = min(int(sum(caps)), len(requests) * first.replicas + most + first.replicas)
        line = _Line(self._order(fit, caps, places, first.weight) if places else [])
        placed: list[Placed] = [line.take(request.replicas, request.excluded) for request in requests]
        before, hopeless = self.used, set[frozenset[int]]()
        self.take(first.weight, placed)
        for index, request in enumerate(requests):
            if placed[index] is None and request.excluded not in hopeless:
                answer = self._deal(request, 1, fit)
                self.take(request.weight, answer)
                placed[index] = answer[0]
                if answer[0] is None:
                    hopeless.add(request.excluded)
        self.used = before
        self.strategy.turn = next((rows[-1] + 1 for rows in reversed(placed) if rows), self.strategy.turn)
        return placed

    def _order(self, fit: Fit, caps: Caps, places: int, weight: int) -> list[int]:
        """The rows of the cheapest `places` places, cheapest first, at most `caps` in each row; there must be as many."""
        live = np.flatnonzero(caps)
        rows = fit.rows[live]
        start, step = self.strategy.rank(self.nodes, rows, self.used[rows], weight)
        if self.strategy.draws:
            start = start + step * self.rng.standard_exponential(len(rows))
        if len(rows) > places:
            cheapest = np.argpartition(start, places - 1)[:places]
            rows, live, start, step = rows[cheapest], live[cheapest], start[cheapest], step[cheapest]
        left = np.asarray(caps)[live]
        if places <= len(rows) and int(left.max()) == 1:
            once: list[int] = rows[np.argsort(start, kind="stable")[:places]].tolist()
            return once
        draws = self.rng.standard_exponential(places).tolist() if self.strategy.draws else None
        listed: list[int] = rows.tolist()
        return [listed[i] for i in _merge(start.tolist(), step.tolist(), left.tolist(), places, draws)]


def _merge(
    start: list[float], step: list[float], left: list[int], places: int, draws: list[float] | None
) -> list[int]:
    """The indices of the `places` cheapest of the sequences start, start + step, … with `left` members each."""
    heap = [(key, index) for index, key in enumerate(start)]
    heapify(heap)
    found = []
    for place in range(places):
        key, index = heap[0]
        found.append(index)
        left[index] -= 1
        if left[index]:
            heapreplace(heap, (key + step[index] * (draws[place] if draws else 1.0), index))
        else:
            heappop(heap)
    return found


def _dealt(order: list[int], count: int, replicas: int) -> Iterable[tuple[int, ...]]:
    """Hands of `replicas` different rows from `count` x `replicas` places, of which no row has more than `count`."""
    if replicas == 1:
        return ((row,) for row in order)
    flat = [row for row, places in Counter(order).items() for _ in range(places)]
    return zip(*(flat[start : start + count] for start in range(0, len(flat), count)), strict=True)


class _Line:
    """Places in order, from which requests take the first that they may have; what they pass over is offered again."""

    def __init__(self, order: list[int]) -> None:
        self._ahead = deque(order)
        self._passed: Counter[int] = Counter()

    def take(self, replicas: int, excluded: frozenset[int]) -> Placed:
        """The first `replicas` different rows that are not excluded; None, and nothing taken, if there are fewer."""
        found = [row for row, places in self._passed.items() if places and row not in excluded][:replicas]
        self._passed.subtract(found)
        while len(found) < replicas and self._ahead:
            row = self._ahead.popleft()
            if row in excluded or row in found:
                self._passed[row] += 1
            else:
                found.append(row)
        if len(found) == replicas:
            return tuple(found)
        self._passed.update(found)
        return None
