"""The numbers behind `/metrics`: plain integers, which a scrape turns into Prometheus' format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from ringback.catalog import BUILT_IN
from ringback.model import DeliveryState

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class Histogram:
    """Counts in fixed buckets; `bounds` are inclusive upper ends."""

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def family(self, name: str, text: str, scale: float) -> HistogramMetricFamily:
        """In the unit that `scale` turns a value into."""
        running, buckets = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            buckets.append((str(bound * scale) if bound != float("inf") else "+Inf", running))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self.total * scale)


# Of events whose type a business has registered itself.
OWN_TYPE = "own"


class Metrics:
    """The service's numbers. Gauges that others own are set by them (`gauges`)."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.duplicates = 0
        self.refused: Counter[str] = Counter()
        self.attempts: Counter[tuple[DeliveryState, str]] = Counter()
        self.unrecorded = 0
        self.released = 0
        self.swept: Counter[str] = Counter()
        self.stream_messages = 0
        self.stream_omitted = 0
        self.streams_dropped = 0
        self.trouble: Counter[str] = Counter()
        self.commit_ms = Histogram(LATENCY_BOUNDS_MS)
        self.attempt_ms = Histogram(LATENCY_BOUNDS_MS)
        self.end_to_end_ms = Histogram(LATENCY_BOUNDS_MS)
        self.accept_batch = Histogram(BATCH_BOUNDS)
        self.record_batch = Histogram(BATCH_BOUNDS)
        self.gauges: dict[str, tuple[str, float]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> tuple[str, bytes]:
        return CONTENT_TYPE, generate_latest(self._registry)

    def gauge(self, name: str, text: str, value: float) -> None:
        self.gauges[name] = (text, value)

    def count_accepted(self, event_type: str) -> None:
        """Types of a business' own count as one: their names are its own, and there is no end of them."""
        self.accepted[event_type if event_type in BUILT_IN else OWN_TYPE] += 1

    def count_refused(self, status: int) -> None:
        self.refused[str(status)] += 1

    def collect(self) -> Iterator[Metric]:
        yield from self._counters()
        yield self.commit_ms.family("ringback_commit_seconds", "From a publish to its commit.", 0.001)
        yield self.attempt_ms.family("ringback_attempt_seconds", "Length of an attempt.", 0.001)
        yield self.end_to_end_ms.family(
            "ringback_end_to_end_seconds", "From the acceptance to a delivery's success.", 0.001
        )
        yield self.accept_batch.family("ringback_accept_batch_events", "Events that shared a commit.", 1)
        yield self.record_batch.family("ringback_record_batch_results", "Results that shared a commit.", 1)
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(name, text, value=value)

    def _counters(self) -> Iterator[Metric]:
        yield _labelled("ringback_events_accepted", "Events accepted.", ("type",), self.accepted)
        yield _labelled("ringback_publishes_refused", "Publishes refused.", ("status",), self.refused)
        attempts = _labelled("ringback_attempts", "Attempts, by the state after.", ("state", "class"))
        for (state, failure), count in self.attempts.items():
            attempts.add_metric([state, failure], count)
        yield attempts
        yield _labelled("ringback_trouble", "Things that went wrong inside.", ("where",), self.trouble)
        yield _labelled(
            "ringback_retention_rows", "Rows removed, or given up, by kind.", ("kind",), self.swept
        )
        yield CounterMetricFamily("ringback_events_duplicate", "Known EventIds published.", self.duplicates)
        yield CounterMetricFamily("ringback_results_unrecorded", "Results fenced off.", self.unrecorded)
        yield CounterMetricFamily("ringback_leases_released", "Leases given back unused.", self.released)
        yield CounterMetricFamily(
            "ringback_stream_messages", "Live updates sent, to all clients.", self.stream_messages
        )
        yield CounterMetricFamily(
            "ringback_stream_updates_omitted", "Changes counted but not shown.", self.stream_omitted
        )
        yield CounterMetricFamily(
            "ringback_streams_dropped", "Streams cut off: their client read too slowly.", self.streams_dropped
        )


def _labelled(
    name: str, text: str, labels: tuple[str, ...], counts: Counter[str] | None = None
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, count in (counts or {}).items():
        family.add_metric([label], count)
    return family
