"""What ingest and the engine tell; each fact becomes its line and its numbers here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from ringback.envelope import iso_time
from ringback.errors import RingbackError
from ringback.model import AttemptResult, Leased, Message
from ringback.observe.feed import Feed
from ringback.observe.lines import EventLine, attempt_line
from ringback.observe.metrics import Metrics
from ringback.observe.wide_log import WideLog

TROUBLE_SECONDS = 1.0

log = structlog.get_logger("ringback")


class Observer:
    def __init__(
        self,
        metrics: Metrics,
        wide: WideLog | None,
        clock: Callable[[], float] = time.monotonic,
        feed: Feed | None = None,
    ) -> None:
        """`clock` is in seconds, from anywhere."""
        self.metrics = metrics
        self.feed = Feed(metrics) if feed is None else feed
        self._wide = wide
        self._clock = clock
        self._told: dict[str, _Told] = {}
        self._behind_ms: dict[str, int] = {}

    @property
    def dropped(self) -> int:
        return 0 if self._wide is None else self._wide.dropped

    def accepted(
        self,
        message: Message,
        deliveries: range,
        *,
        duplicate: bool,
        schema_errors: str | None,
        at: int,
        waited_ms: float,
    ) -> None:
        """`deliveries` are their ids."""
        metrics = self.metrics
        if duplicate:
            metrics.duplicates += 1
        else:
            metrics.count_accepted(message.event_type)
            self.feed.deliveries(message.business_id, deliveries)
        metrics.commit_ms.add(waited_ms)
        if self._wide is not None:
            self._wide.write(
                EventLine(
                    iso_time(at),
                    "info",
                    "event",
                    message.event_id,
                    message.event_type,
                    message.business_id,
                    len(message.data),
                    len(deliveries),
                    round(waited_ms, 3),
                    duplicate,
                    schema_errors,
                )
            )

    def accepted_batch(self, events: int) -> None:
        self.metrics.accept_batch.add(events)

    def claimed(self, leased: Leased) -> None:
        """It waited in the database and is being sent now."""
        self.feed.deliveries(leased.message.business_id, (leased.delivery_id,))

    def attempt(self, result: AttemptResult, recorded: bool) -> None:
        metrics, outcome = self.metrics, result.outcome
        metrics.attempts[result.decision.state, result.failure or ""] += 1
        metrics.attempt_ms.add(outcome.timings.total_ms)
        if not recorded:
            metrics.unrecorded += 1
        else:
            self.feed.attempt(result, result.leased.delivery_id)
            if result.failure is None:
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

    def swept(self, chore: str, removed: Mapping[str, int], behind_ms: int) -> None:
        """A step of retention: rows by kind, and how late it was; 0 once the chore is up to date."""
        self.metrics.swept.update(removed)
        self._behind_ms[chore] = behind_ms
        late = max(self._behind_ms.values()) / 1000
        self.metrics.gauge("ringback_retention_behind_seconds", "How late retention is.", late)

    def swept_all(self, removed: Mapping[str, int], at: int) -> None:
        """A pass of retention has ended."""
        self.metrics.gauge(
            "ringback_retention_last_pass_timestamp_seconds", "End of retention's last pass.", at / 1000
        )
        if removed:
            log.info("retention", **removed)

    def trouble(self, what: str, error: BaseException) -> None:
        """Each one is counted; what goes wrong over and over has one line a second, `left_out` in between."""
        self.metrics.trouble[what] += 1
        told, now = self._told.get(what), self._clock()
        if told is not None and now < told.at + TROUBLE_SECONDS:
            told.left_out += 1
            return
        left_out = {"left_out": told.left_out} if told is not None and told.left_out else {}
        self._told[what] = _Told(now)
        unexpected = not isinstance(error, RingbackError)
        log.error("trouble", where=what, error=str(error), exc_info=error if unexpected else None, **left_out)


class _Told:
    """When a place's trouble had its last line, and how often it came again since."""

    __slots__ = ("at", "left_out")

    def __init__(self, at: float) -> None:
        self.at = at
        self.left_out = 0
