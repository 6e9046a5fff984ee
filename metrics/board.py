"""The board of one process: what its sources say, in the words of Prometheus.

Guarantees that only what the catalogue has, with the labels that it has there, gets on the page, and that a page is one moment's: it
holds what the sources said for it and nothing of an earlier one. The rest of `metrics` runs without prometheus-client; this does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar

from bus.subjects import DEFAULT_CLUSTER
from bus.trace import trace_id
from metrics.catalogue import CATALOGUE
from metrics.errors import NotInCatalogue
from metrics.histogram import Bucket, Histogram
from metrics.metric import Metric

__all__ = ["Board", "Source"]

_log = structlog.get_logger("metrics.board")

type Source = Callable[["Board"], Awaitable[None]]
"""Says values on the board when a page is asked for."""

type _Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

_EXEMPLAR_CHARACTERS = 128
"""OpenMetrics allows so many for names and values of an exemplar's labels together."""


class Board(Collector):
    """Values by metric and labels; `page` asks the sources anew each time. `cluster` is that of the tasks that examples name."""

    def __init__(self, sources: Iterable[Source], cluster: str = DEFAULT_CLUSTER) -> None:
        self._cluster = cluster
        self._sources = tuple(sources)
        self._said: dict[str, dict[tuple[str, ...], float | Histogram]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        """How much is on it."""
        return f"Board({len(self._said)} metrics of {len(self._sources)} sources)"

    def say(self, name: str, value: float | Histogram, **labels: str) -> None:
        """Put a value on the board, a `Histogram` for a metric of that kind and of the catalogue's bounds.

        Raises `NotInCatalogue` for a metric, or labels, or a kind of value, that the catalogue does not have.
        """
        metric = CATALOGUE.get(name)
        if metric is None or set(labels) != set(metric.labels):
            raise NotInCatalogue(f"{name} with labels {sorted(labels)}: see metrics.catalogue")
        if metric.bounds != (value.bounds if isinstance(value, Histogram) else ()):
            raise NotInCatalogue(f"{name} is a {metric.kind} with the bounds {metric.bounds}")
        self._said.setdefault(name, {})[tuple(labels[label] for label in metric.labels)] = value

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type, in the format that the header `Accept` asks for (text without one)."""
        async with self._one_at_a_time:
            self._said.clear()
            await self._ask()
            encode, content_type = choose_encoder(accept)
            return encode(self._registry), content_type

    async def _ask(self) -> None:
        """All sources at once: while the bus is away, several of them wait a second for it. What one fails to say takes nothing from the others."""
        ends = await asyncio.gather(*(source(self) for source in self._sources), return_exceptions=True)
        failures = [end for end in ends if isinstance(end, BaseException)]
        for failure in failures:
            _log.error("a source of metrics failed", exc_info=failure)
        self.say("ambient_page_failed_sources", len(failures))

    def collect(self) -> Iterator[_Family]:
        """What is on the board, as prometheus-client asks for it."""
        for name, values in self._said.items():
            family = _family(CATALOGUE[name])
            for labels, value in values.items():
                self._add(family, labels, value)
            yield family

    def _add(self, family: _Family, labels: tuple[str, ...], value: float | Histogram) -> None:
        """`say` has seen to it that a histogram comes to a histogram's family."""
        if isinstance(family, HistogramMetricFamily):
            if isinstance(value, Histogram):
                family.add_metric(labels, [self._bucket(each) for each in value.buckets()], value.sum)
        elif not isinstance(value, Histogram):
            family.add_metric(labels, value)

    def _bucket(self, bucket: Bucket) -> tuple[str, float] | tuple[str, float, Exemplar]:
        bound = "+Inf" if bucket.bound == float("inf") else repr(bucket.bound)
        example = bucket.example
        if example is None:
            return bound, float(bucket.total)
        named = {"task": example.of}
        traced = {**named, "trace_id": trace_id(self._cluster, example.of)}
        # A long name leaves no room for its trace, a still longer one is no exemplar.
        fitting = next(
            (labels for labels in (traced, named) if _characters(labels) <= _EXEMPLAR_CHARACTERS), None
        )
        if fitting is None:
            return bound, float(bucket.total)
        return bound, float(bucket.total), Exemplar(fitting, example.value)


def _family(metric: Metric) -> _Family:
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name.removesuffix("_total"), metric.says, labels=metric.labels)
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.name, metric.says, labels=metric.labels)
    return GaugeMetricFamily(metric.name, metric.says, labels=metric.labels)


def _characters(labels: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in labels.items())
