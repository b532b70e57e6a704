"""Seen from outside: one wide line per event and per attempt, and the numbers behind `/metrics`.

The hot path only appends to a list and adds to plain integers. A thread of its own encodes and writes
the lines in batches; a scrape turns the integers into Prometheus' format.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import IO, TextIO

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from ringback import ids
from ringback.envelope import iso_time
from ringback.errors import RingbackError
from ringback.failures import FailureClass
from ringback.model import AttemptResult, DeliveryState, Message, Timings

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000)
BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)
FLUSH_SECONDS = 0.2
MAX_WAITING_LINES = 100_000

log = structlog.get_logger("ringback")


# ---------------------------------------------------------------- wide lines


class EventLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One accepted event."""

    at: str
    msg: str
    event: str
    type: str
    business: int
    bytes: int
    deliveries: int
    commit_ms: float
    duplicate: bool = False
    schema_errors: str | None = None


class AttemptLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt, with everything that explains it but the bodies."""

    at: str
    msg: str
    event: str
    type: str
    business: int
    integration: str
    delivery: str
    attempt: int
    state: str
    ms: float
    queued_ms: int
    timings: Timings
    status: int | None = None
    failure: FailureClass | None = None
    detail: str | None = None
    due_at: str | None = None
    address: str | None = None
    http: str | None = None
    replay: bool = False
    test: bool = False
    recorded: bool = True


Line = EventLine | AttemptLine


def attempt_line(result: AttemptResult, recorded: bool) -> AttemptLine:
    leased, outcome, decision = result.leased, result.outcome, result.decision
    return AttemptLine(
        iso_time(outcome.ended_at),
        "attempt",
        leased.message.event_id,
        leased.message.event_type,
        leased.message.business_id,
        ids.public(ids.INTEGRATION, leased.integration_id),
        ids.public(ids.DELIVERY, leased.delivery_id),
        leased.number,
        decision.state,
        round(outcome.timings.total_ms, 3),
        outcome.started_at - leased.due_at,
        outcome.timings,
        outcome.status,
        result.failure,
        outcome.detail,
        None if decision.due_at is None else iso_time(decision.due_at),
        outcome.remote_address,
        outcome.http_version,
        leased.replay,
        result.test,
        recorded,
    )


class WideLog:
    """Writes lines from a thread; drops and counts them where the reader is slower than the service."""

    def __init__(self, stream: IO[str], *, human: bool) -> None:
        self._stream = stream
        self._render = render_human if human else render_json
        self._waiting: list[Line] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wide-log", daemon=True)
        self._thread.start()
        self.dropped = 0

    def write(self, line: Line) -> None:
        if len(self._waiting) < MAX_WAITING_LINES:
            self._waiting.append(line)
        else:
            self.dropped += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        try:
            self._stream.write(self._render(lines))
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)


_encoder = msgspec.json.Encoder()


def render_json(lines: list[Line]) -> str:
    return _encoder.encode_lines(lines).decode()


def render_human(lines: list[Line]) -> str:
    return "".join([_human(line) + "\n" for line in lines])


def _human(line: Line) -> str:
    at = line.at[11:23]
    if isinstance(line, EventLine):
        again = " again" if line.duplicate else ""
        return f"{at} accepted  {line.type:<22} {line.event}{again} → {line.deliveries} deliveries"
    answer = str(line.status) if line.failure is None else line.failure
    then = f", next at {line.due_at[11:19]}" if line.due_at else ""
    marks = " test" if line.test else " replay" if line.replay else ""
    return (
        f"{at} {line.state:<9} {line.type:<22} {line.event} → {line.integration} "
        f"attempt {line.attempt}{marks}: {answer} in {line.ms:.0f} ms{then}"
    )


# ---------------------------------------------------------------- numbers


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


class Metrics:
    """The service's numbers. Gauges that others own are set by them (`gauges`)."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.duplicates = 0
        self.refused: Counter[str] = Counter()
        self.attempts: Counter[tuple[DeliveryState, str]] = Counter()
        self.unrecorded = 0
        self.released = 0
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
        return "text/plain; version=0.0.4; charset=utf-8", generate_latest(self._registry)

    def gauge(self, name: str, text: str, value: float) -> None:
        self.gauges[name] = (text, value)

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
        yield CounterMetricFamily("ringback_events_duplicate", "Known EventIds published.", self.duplicates)
        yield CounterMetricFamily("ringback_results_unrecorded", "Results fenced off.", self.unrecorded)
        yield CounterMetricFamily("ringback_leases_released", "Leases given back unused.", self.released)


def _labelled(
    name: str, text: str, labels: tuple[str, ...], counts: Counter[str] | None = None
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for label, count in (counts or {}).items():
        family.add_metric([label], count)
    return family


# ---------------------------------------------------------------- the observer


class Observer:
    """What ingest and the engine tell; each fact becomes its line and its numbers here."""

    def __init__(self, metrics: Metrics, wide: WideLog | None) -> None:
        self.metrics = metrics
        self._wide = wide

    @property
    def dropped(self) -> int:
        return 0 if self._wide is None else self._wide.dropped

    def accepted(
        self,
        message: Message,
        deliveries: int,
        *,
        duplicate: bool,
        schema_errors: str | None,
        at: int,
        waited_ms: float,
    ) -> None:
        metrics = self.metrics
        if duplicate:
            metrics.duplicates += 1
        else:
            metrics.accepted[message.event_type] += 1
        metrics.commit_ms.add(waited_ms)
        if self._wide is not None:
            self._wide.write(
                EventLine(
                    iso_time(at),
                    "event",
                    message.event_id,
                    message.event_type,
                    message.business_id,
                    len(message.data),
                    deliveries,
                    round(waited_ms, 3),
                    duplicate,
                    schema_errors,
                )
            )

    def accepted_batch(self, events: int) -> None:
        self.metrics.accept_batch.add(events)

    def attempt(self, result: AttemptResult, recorded: bool) -> None:
        metrics, outcome = self.metrics, result.outcome
        metrics.attempts[result.decision.state, result.failure or ""] += 1
        metrics.attempt_ms.add(outcome.timings.total_ms)
        if not recorded:
            metrics.unrecorded += 1
        elif result.failure is None:
            metrics.end_to_end_ms.add(outcome.ended_at - result.leased.created_at)
        if self._wide is not None:
            self._wide.write(attempt_line(result, recorded))

    def recorded_batch(self, size: int) -> None:
        self.metrics.record_batch.add(size)

    def released(self, count: int) -> None:
        self.metrics.released += count

    def depth(self, *, queued: int, retrying: int, held: int, sending: int, oldest_due_ms: int) -> None:
        """What waits now; `oldest_due_ms` is the age of the oldest due delivery."""
        gauge = self.metrics.gauge
        gauge("ringback_queued", "Deliveries waiting for their first attempt.", queued)
        gauge("ringback_retrying", "Deliveries waiting for another attempt.", retrying)
        gauge("ringback_held", "Deliveries of paused or disabled integrations.", held)
        gauge("ringback_sending", "Deliveries leased to a node.", sending)
        gauge("ringback_oldest_due_seconds", "Age of the oldest due delivery.", oldest_due_ms / 1000)

    def trouble(self, what: str, error: BaseException) -> None:
        self.metrics.trouble[what] += 1
        unexpected = not isinstance(error, RingbackError)
        log.error("trouble", where=what, error=str(error), exc_info=error if unexpected else None)


def configure_logging(stream: TextIO, *, human: bool, level: str) -> None:
    """structlog and the standard library's logging, through one renderer, to one stream."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.EventRenamer("msg"),
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(event_key="msg", timestamp_key="at", colors=stream.isatty())
        if human
        else structlog.processors.JSONRenderer()
    )
    chain: list[structlog.typing.Processor] = (
        [*shared, render] if human else [*shared, structlog.processors.format_exc_info, render]
    )
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain[len(shared) :]],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
