"""What the charts must show of a range, counted from the events, deliveries and attempts one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import TypeVar

from ringback.model import DeliveryState, Message
from ringback.statistics import NOTHING, Attempts, Counts, Deliveries, bucket_of
from ringback.store.port import Asked, AttemptGroup, Statistics, WaitingNow
from ringback.store.sqlite.rollups import LAST_NUMBER
from tests.model.contents import Attempt, Contents, Delivery, Event

T = TypeVar("T")
K = TypeVar("K")
# A delivery's id with it, and whether its first attempt succeeded; None: there is none of the schedule.
Row = tuple[Delivery, bool | None]
Made = tuple[int, Delivery, Attempt]


def statistics(contents: Contents, business_id: int, asked: Asked) -> Statistics:
    rows = list(_rows(contents, business_id, asked))
    made = list(_made(contents, business_id, asked))
    events = list(_events(contents, business_id, asked))
    width = asked.range.bucket.ms
    return Statistics(
        buckets=_counts(
            _grouped(events, lambda one: one[1] - one[1] % width),
            _grouped(rows, lambda row: row[0].created_at - row[0].created_at % width),
            _grouped(made, lambda one: one[2].ended_at - one[2].ended_at % width),
        ),
        lanes=_counts(
            {}, _grouped(rows, lambda row: _lane(row[0])), _grouped(made, lambda one: _lane(one[1]))
        ),
        events=Counter(event_type for event_type, _ in events),
        groups=_groups(made),
    )


def waiting_now(contents: Contents, business_id: int, now: int) -> WaitingNow:
    own = {row: one for row, one in contents.deliveries.items() if one.business_id == business_id}
    shown = Counter(contents.shown_state(row) for row in own)
    due = [one.due_at or 0 for row, one in own.items() if contents.shown_state(row) in ("queued", "retrying")]
    return WaitingNow(
        queued=shown["queued"],
        sending=shown["sending"],
        retrying=shown["retrying"],
        held=shown["held"],
        next_attempt_at=min((at for at in due if at > now), default=None),
        oldest_due_at=min((at for at in due if at <= now), default=None),
    )


# ---------------------------------------------------------------- what counts


def _events(contents: Contents, business_id: int, asked: Asked) -> Iterator[tuple[str, int]]:
    """Types and times. Of an integration: the events that it was to get."""
    if asked.integration_id is not None:
        for delivery, _ in _rows(contents, business_id, asked):
            yield delivery.event_type, delivery.created_at
        return
    for event in contents.events.values():
        if _is_wanted(event.message, event, asked) and event.message.business_id == business_id:
            yield event.message.event_type, event.accepted_at


def _is_wanted(message: Message, event: Event, asked: Asked) -> bool:
    of_type = asked.event_type in (None, message.event_type)
    return of_type and not event.test and _within(event.accepted_at, asked)


def _rows(contents: Contents, business_id: int, asked: Asked) -> Iterator[Row]:
    for row, one in contents.deliveries.items():
        if _is_of(one, business_id, asked) and _within(one.created_at, asked):
            first = contents.attempts.get((row, 1))
            yield one, None if first is None or first.replay else not first.failure


def _made(contents: Contents, business_id: int, asked: Asked) -> Iterator[Made]:
    for (row, number), attempt in contents.attempts.items():
        delivery = contents.deliveries[row]
        if _is_of(delivery, business_id, asked) and _within(attempt.ended_at, asked) and not attempt.replay:
            yield number, delivery, attempt


def _is_of(delivery: Delivery, business_id: int, asked: Asked) -> bool:
    return (
        delivery.business_id == business_id
        and not delivery.test
        and asked.integration_id in (None, delivery.integration_id)
        and asked.event_type in (None, delivery.event_type)
    )


def _within(at: int, asked: Asked) -> bool:
    return asked.range.since <= at < asked.range.until


def _lane(delivery: Delivery) -> tuple[int, str]:
    return delivery.integration_id, delivery.event_type


# ---------------------------------------------------------------- counting


def _grouped(things: Iterable[T], by: Callable[[T], K]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for thing in things:
        found.setdefault(by(thing), []).append(thing)
    return found


def _counts(
    events: dict[K, list[tuple[str, int]]], rows: dict[K, list[Row]], made: dict[K, list[Made]]
) -> dict[K, Counts]:
    return {
        key: Counts(len(events.get(key, ())), _deliveries(rows.get(key, ())), _attempts(made.get(key, ())))
        for key in {*events, *rows, *made}
    }


def _deliveries(rows: Iterable[Row]) -> Deliveries:
    rows = list(rows)
    states = Counter(one.state for one, _ in rows)
    unaided = [one for one, _ in rows if one.state is DeliveryState.DELIVERED and not one.replayed]
    return Deliveries(
        created=len(rows),
        delivered=states[DeliveryState.DELIVERED],
        first_try=sum(one.attempts == 1 for one in unaided),
        dead=states[DeliveryState.DEAD],
        cancelled=states[DeliveryState.CANCELLED],
        first_ended=sum(first is not None for _, first in rows),
        first_succeeded=sum(bool(first) for _, first in rows),
        took=_histogram((one.finished_at or 0) - one.created_at for one in unaided),
    )


def _attempts(made: Iterable[Made]) -> Attempts:
    attempts = [one for _, _, one in made]
    answers = Counter(one.status // 100 if one.status else 0 for one in attempts)
    good = [one for one in attempts if not one.failure]
    return Attempts(
        succeeded=len(good),
        failed=len(attempts) - len(good),
        answers_2xx=answers[2],
        answers_3xx=answers[3],
        answers_4xx=answers[4],
        answers_5xx=answers[5],
        answers_none=answers[0],
        took=_histogram(one.total_ms for one in attempts),
        slowest_ms=max((ceil(one.total_ms) for one in attempts), default=0),
        last_success=max((one.ended_at for one in good), default=0),
    )


def _histogram(times: Iterable[float]) -> tuple[int, ...]:
    counts = Counter(bucket_of(ms) for ms in times)
    return tuple(counts[place] for place in range(len(NOTHING)))


def _groups(made: Iterable[Made]) -> tuple[AttemptGroup, ...]:
    counts = Counter(
        (min(number, LAST_NUMBER), one.status or 0, str(one.failure or "")) for number, _, one in made
    )
    return tuple(AttemptGroup(*key, count) for key, count in sorted(counts.items()))
