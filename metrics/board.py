"""The board of one process: what its sources say, in the words of Prometheus.

Guarantees that only what the catalogue has, with the labels that it has there, gets on the page, and that a page is one moment's: it
holds what the sources said for it and nothing of an earlier one. The rest of `metrics` runs without prometheus-client; this does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from metrics.catalogue import CATALOGUE, Metric
from metrics.errors import NotInCatalogue

__all__ = ["Board", "Source"]

type Source = Callable[["Board"], Awaitable[None]]
"""Says values on the board when a page is asked for."""

type _Family = CounterMetricFamily | GaugeMetricFamily


class Board(Collector):
    """Values by metric and labels; `page` asks the sources anew each time."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)
        self._said: dict[str, dict[tuple[str, ...], float]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        """How much is on it."""
        return f"Board({len(self._said)} metrics of {len(self._sources)} sources)"

    def say(self, name: str, value: float, **labels: str) -> None:
        """Put a value on the board. Raises `NotInCatalogue` for a metric, or labels, that the catalogue does not have."""
        metric = CATALOGUE.get(name)
        if metric is None or set(labels) != set(metric.labels):
            raise NotInCatalogue(f"{name} with labels {sorted(labels)}: see metrics.catalogue")
        self._said.setdefault(name, {})[tuple(labels[label] for label in metric.labels)] = value

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, in the format that the header `Accept` asks for (text without one)."""
        async with self._one_at_a_time:
            self._said.clear()
            for source in self._sources:
                await source(self)
            encode, content_type = choose_encoder(accept)
            return encode(self._registry), content_type

    def collect(self) -> Iterator[_Family]:
        """What is on the board, as prometheus-client asks for it."""
        for name, values in self._said.items():
            family = _family(CATALOGUE[name])
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


def _family(metric: Metric) -> _Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name.removesuffix("_total"), metric.says, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)
