"""Statistics as they are shown: pure functions of what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ringback import ids
from ringback.api import stats_objects as objects
from ringback.envelope import iso_time, iso_time_or_none
from ringback.failures import FailureClass
from ringback.statistics import Attempts, Counts, Deliveries, Range, total
from ringback.store.port import AttemptGroup, Statistics, WaitingNow

_NOTHING = Counts()


def show(found: Statistics, wanted: Range, now: WaitingNow) -> objects.Stats:
    return objects.Stats(
        since=iso_time(wanted.since),
        until=iso_time(wanted.until),
        bucket=wanted.bucket,
        totals=objects.Figures(**_figures(_totals(found))),
        buckets=[_bucket(start, found.buckets.get(start, _NOTHING)) for start in wanted.starts],
        event_types=_event_types(found),
        attempt_numbers=_attempt_numbers(found.groups),
        statuses=_statuses(found.groups),
        failure_classes=_failure_classes(found.groups),
        integrations=_integrations(found),
        now=show_now(now),
    )


def show_now(now: WaitingNow) -> objects.Now:
    return objects.Now(
        queued=now.queued,
        sending=now.sending,
        retrying=now.retrying,
        held=now.held,
        next_attempt_at=iso_time_or_none(now.next_attempt_at),
        oldest_due_at=iso_time_or_none(now.oldest_due_at),
    )


def _totals(found: Statistics) -> Counts:
    lanes = total(found.lanes.values())
    return Counts(sum(found.events.values()), lanes.deliveries, lanes.attempts)


def _bucket(start: int, counts: Counts) -> objects.BucketFigures:
    return objects.BucketFigures(start=iso_time(start), **_figures(counts))


def _figures(counts: Counts) -> dict[str, Any]:
    """The fields of `Figures`, plain: thousands of buckets are validated in one go each."""
    return {
        "events": counts.events,
        "deliveries": _deliveries(counts.deliveries),
        "attempts": {"succeeded": counts.attempts.succeeded, "failed": counts.attempts.failed},
        "answers": _answers(counts.attempts),
        "first_try_rate": counts.first_try_rate,
        "delivered_rate": counts.delivered_rate,
        "attempt_failure_rate": counts.attempt_failure_rate,
        "attempt_ms": _percentiles(counts.attempt_ms),
        "end_to_end_ms": _percentiles(counts.end_to_end_ms),
    }


def _deliveries(counts: Deliveries) -> dict[str, int]:
    return {
        "delivered": counts.delivered,
        "delivered_first_try": counts.first_try,
        "dead": counts.dead,
        "cancelled": counts.cancelled,
        "open": counts.open,
    }


def _answers(counts: Attempts) -> dict[str, int]:
    return {
        "2xx": counts.answers_2xx,
        "3xx": counts.answers_3xx,
        "4xx": counts.answers_4xx,
        "5xx": counts.answers_5xx,
        "none": counts.answers_none,
    }


def _percentiles(of: Callable[[float], float | None]) -> dict[str, float | None]:
    return {"p50": of(0.5), "p95": of(0.95), "p99": of(0.99)}


def _event_types(found: Statistics) -> list[objects.EventTypeFigures]:
    """The most frequent first."""
    deliveries = Counter[str]()
    for (_, event_type), counts in found.lanes.items():
        deliveries[event_type] += counts.deliveries.created
    every = sum(found.events.values())
    rows = [
        objects.EventTypeFigures(
            event_type=name, events=events, deliveries=deliveries[name], share=events / every
        )
        for name, events in found.events.items()
        if events
    ]
    return sorted(rows, key=lambda row: (-row.events, row.event_type))


def _attempt_numbers(groups: Iterable[AttemptGroup]) -> list[objects.AttemptNumberFigures]:
    succeeded, failed = Counter[int](), Counter[int]()
    for group in groups:
        (failed if group.failure else succeeded)[group.number] += group.attempts
    return [
        objects.AttemptNumberFigures(number=number, succeeded=succeeded[number], failed=failed[number])
        for number in sorted({*succeeded, *failed})
    ]


def _statuses(groups: Iterable[AttemptGroup]) -> list[objects.StatusFigures]:
    counts = Counter[int]()
    for group in groups:
        if group.status:
            counts[group.status] += group.attempts
    return [objects.StatusFigures(status=status, count=counts[status]) for status in sorted(counts)]


def _failure_classes(groups: Iterable[AttemptGroup]) -> list[objects.FailureClassFigures]:
    """The most frequent first."""
    counts = Counter[str]()
    for group in groups:
        if group.failure:
            counts[group.failure] += group.attempts
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [objects.FailureClassFigures(Class=FailureClass(name), count=count) for name, count in ordered]


def _integrations(found: Statistics) -> list[objects.IntegrationFigures]:
    lanes: dict[int, list[Counts]] = {}
    for (integration_id, _), counts in found.lanes.items():
        lanes.setdefault(integration_id, []).append(counts)
    return [_integration(integration_id, total(counts)) for integration_id, counts in sorted(lanes.items())]


def _integration(integration_id: int, counts: Counts) -> objects.IntegrationFigures:
    return objects.IntegrationFigures(
        integration_id=ids.public(ids.INTEGRATION, integration_id),
        delivered=counts.deliveries.delivered,
        dead=counts.deliveries.dead,
        open=counts.deliveries.open,
        first_try_rate=counts.first_try_rate,
        attempt_p95_ms=counts.attempt_ms(0.95),
        last_delivered_at=iso_time_or_none(counts.attempts.last_success or None),
    )
