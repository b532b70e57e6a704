"""What the rollups must say, counted again from the events, deliveries and attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ringback.model import FINISHED, DeliveryState
from ringback.statistics import GRAINS_MS, bucket_of
from ringback.store.sqlite.rollups import HISTOGRAM, LAST_NUMBER
from tests.model.contents import Attempt, Contents, Delivery

# Table, then its key without the bucket, then the column.
Cell = tuple[str, tuple[int | str, ...], str]
# Grain and start of the bucket, and what is counted there. Zeros are left out.
Counts = Counter[tuple[int, int, Cell]]

KEYS = {
    "intake_stats": ("business_id", "event_type"),
    "delivery_stats": ("business_id", "integration_id", "event_type"),
    "attempt_stats": ("business_id", "integration_id", "event_type"),
    "attempt_detail": ("business_id", "integration_id", "event_type", "number", "status", "failure"),
}


def counts_of(contents: Contents) -> Counts:
    return Counter(
        (grain, at - at % grain, cell) for at, cell in _everything(contents) for grain in GRAINS_MS
    )


def _everything(contents: Contents) -> Iterator[tuple[int, Cell]]:
    """When, and what counts one. Tests and attempts by hand do not."""
    for event in contents.events.values():
        if not event.test:
            message = event.message
            yield event.accepted_at, ("intake_stats", (message.business_id, message.event_type), "events")
    for delivery in contents.deliveries.values():
        if not delivery.test:
            for column in _columns_of_delivery(delivery):
                yield delivery.created_at, ("delivery_stats", _lane_of(delivery), column)
    for (row, number), attempt in contents.attempts.items():
        delivery = contents.deliveries[row]
        if not delivery.test and not attempt.replay:
            for cell in _cells_of_attempt(_lane_of(delivery), number, attempt):
                yield attempt.ended_at, cell
            for column in _columns_of_first(number, attempt):
                yield delivery.created_at, ("delivery_stats", _lane_of(delivery), column)


def _columns_of_delivery(delivery: Delivery) -> Iterator[str]:
    yield "created"
    if delivery.state in FINISHED:
        yield delivery.state
    if delivery.state is DeliveryState.DELIVERED and not delivery.replayed:
        yield HISTOGRAM[bucket_of((delivery.finished_at or 0) - delivery.created_at)]
        if delivery.attempts == 1:
            yield "first_try"


def _columns_of_first(number: int, attempt: Attempt) -> Iterator[str]:
    if number == 1:
        yield "first_ended"
        if not attempt.failure:
            yield "first_succeeded"


def _cells_of_attempt(lane: tuple[int | str, ...], number: int, attempt: Attempt) -> Iterator[Cell]:
    yield "attempt_stats", lane, "failed" if attempt.failure else "succeeded"
    yield "attempt_stats", lane, f"answers_{attempt.status // 100}xx" if attempt.status else "answers_none"
    yield "attempt_stats", lane, HISTOGRAM[bucket_of(attempt.total_ms)]
    detail = (*lane, min(number, LAST_NUMBER), attempt.status or 0, attempt.failure or "")
    yield "attempt_detail", detail, "attempts"


def _lane_of(delivery: Delivery) -> tuple[int | str, ...]:
    return delivery.business_id, delivery.integration_id, delivery.event_type
