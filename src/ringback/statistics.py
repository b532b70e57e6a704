"""What charts are made of: ranges in whole buckets, counts, rates, and percentiles from histograms.

Pure: what was counted and the time are arguments.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import reduce
from operator import add
from typing import Any

from msgspec.structs import astuple

from ringback.errors import FieldError, InvalidRequest
from ringback.model import Value

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
# How finely counts are kept, each in whole ones of the one before; days are UTC's.
GRAINS_MS = (MINUTE_MS, HOUR_MS, DAY_MS)

DEFAULT_RANGE_MS = DAY_MS
FITTING_BUCKETS = 200
MAX_BUCKETS = 2_000


# ---------------------------------------------------------------- ranges


class Bucket(StrEnum):
    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def ms(self) -> int:
        return _BUCKET_MS[self]

    @property
    def grain(self) -> int:
        """What its counts are added up from."""
        return max(grain for grain in GRAINS_MS if grain <= self.ms)


_BUCKET_MS = {
    Bucket.MINUTE: MINUTE_MS,
    Bucket.FIVE_MINUTES: 5 * MINUTE_MS,
    Bucket.HOUR: HOUR_MS,
    Bucket.DAY: DAY_MS,
}


class Range(Value, frozen=True, kw_only=True):
    """Whole buckets, `until` exclusive."""

    since: int
    until: int
    bucket: Bucket

    @property
    def starts(self) -> range:
        return range(self.since, self.until, self.bucket.ms)


def range_of(since: int | None, until: int | None, bucket: Bucket | None, now: int) -> Range:
    """The range as asked for, widened to whole buckets. Raises InvalidRequest.

    Without `until` it goes to `now`, without `since` it is 24 hours long, without `bucket` one is chosen.
    """
    end = now if until is None else until
    start = max(end - DEFAULT_RANGE_MS, 0) if since is None else since
    if start >= end:
        what = "now, as there is no Until" if until is None else "Until"
        raise InvalidRequest(FieldError("Since", f"must be before {what}"))
    widened = widen(start, end, bucket or _fitting(end - start))
    if len(widened.starts) > MAX_BUCKETS:
        raise InvalidRequest(FieldError("Bucket", _too_many(widened)))
    return widened


def widen(since: int, until: int, bucket: Bucket) -> Range:
    return Range(since=since - since % bucket.ms, until=until + -until % bucket.ms, bucket=bucket)


def _fitting(ms: int) -> Bucket:
    return next((one for one in Bucket if ms <= FITTING_BUCKETS * one.ms), Bucket.DAY)


def _too_many(asked: Range) -> str:
    return (
        f"{asked.bucket} makes {len(asked.starts):,} buckets of this range, and at most {MAX_BUCKETS:,} "
        "are allowed; take a wider one or a shorter range"
    )


class Span(Value, frozen=True):
    """A time in whole units of a grain."""

    grain: int
    since: int
    until: int


def cover(since: int, until: int, grains: tuple[int, ...] = GRAINS_MS) -> Iterator[Span]:
    """A time in whole minutes as few units: days where whole ones are in it, then hours, then minutes."""
    if since >= until:
        return
    *finer, grain = grains
    first, last = since + -since % grain, until - until % grain
    if first >= last:
        yield from cover(since, until, tuple(finer))
        return
    yield from cover(since, first, tuple(finer))
    yield Span(grain, first, last)
    yield from cover(last, until, tuple(finer))


# ---------------------------------------------------------------- histograms

# Upper bounds of a histogram's buckets, in ms; what is beyond the last has a bucket of its own.
BOUNDS_MS = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500,
    1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 600_000, 3_600_000,
)  # fmt: skip
Histogram = tuple[int, ...]
NOTHING: Histogram = (0,) * (len(BOUNDS_MS) + 1)
_DIGITS = 1


def bucket_of(ms: float) -> int:
    return bisect_left(BOUNDS_MS, ms)


def percentile(took: Histogram, share: float, slowest: float | None = None) -> float | None:
    """The time in ms that `share` (0 to 1) of what was measured did not exceed; None without data.

    Within a bucket the values are taken as spread evenly on a logarithmic scale, so the result is in the
    bucket of the true one. `slowest`: none took longer. Without it, an hour stands for an hour or more.
    """
    rank, below = share * sum(took), 0
    for place, count in enumerate(took):
        if count and below + count >= rank:
            return round(_within(place, (rank - below) / count, slowest), _DIGITS)
        below += count
    return None


def _within(place: int, part: float, slowest: float | None) -> float:
    """`part` (0 to 1) of the way through a bucket."""
    low = BOUNDS_MS[place - 1] if place else 0
    high: float = BOUNDS_MS[place] if place < len(BOUNDS_MS) else max(slowest or 0, low)
    if slowest is not None and bucket_of(slowest) == place:
        high = slowest
    return high * part if low == 0 else low * (high / low) ** part


# ---------------------------------------------------------------- counts


class Deliveries(Value, frozen=True):
    """By the bucket of their creation, in the state they are in now.

    `first_ended`: their first attempt ended; `first_succeeded`: with success. Attempts by hand are none of
    these, and change neither later. `took`: from creation to delivery, where nobody helped by hand.
    """

    created: int = 0
    delivered: int = 0
    first_try: int = 0
    dead: int = 0
    cancelled: int = 0
    first_ended: int = 0
    first_succeeded: int = 0
    took: Histogram = NOTHING

    @property
    def open(self) -> int:
        return max(self.created - self.delivered - self.dead - self.cancelled, 0)


class Attempts(Value, frozen=True):
    """By the bucket of their end. `slowest_ms` and `last_success` (a time) are 0 where there is none."""

    succeeded: int = 0
    failed: int = 0
    answers_2xx: int = 0
    answers_3xx: int = 0
    answers_4xx: int = 0
    answers_5xx: int = 0
    answers_none: int = 0
    took: Histogram = NOTHING
    slowest_ms: int = 0
    last_success: int = 0

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed


class Counts(Value, frozen=True):
    events: int = 0
    deliveries: Deliveries = Deliveries()
    attempts: Attempts = Attempts()

    @property
    def first_try_rate(self) -> float | None:
        return rate(self.deliveries.first_succeeded, self.deliveries.first_ended)

    @property
    def delivered_rate(self) -> float | None:
        return rate(self.deliveries.delivered, self.deliveries.delivered + self.deliveries.dead)

    @property
    def attempt_failure_rate(self) -> float | None:
        return rate(self.attempts.failed, self.attempts.ended)

    def attempt_ms(self, share: float) -> float | None:
        return percentile(self.attempts.took, share, self.attempts.slowest_ms)

    def end_to_end_ms(self, share: float) -> float | None:
        return percentile(self.deliveries.took, share)


def rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def total(counts: Iterable[Counts]) -> Counts:
    return reduce(_plus, counts, Counts())


def _plus(one: Counts, other: Counts) -> Counts:
    return Counts(
        one.events + other.events,
        add_deliveries(one.deliveries, other.deliveries),
        add_attempts(one.attempts, other.attempts),
    )


def add_deliveries(one: Deliveries, other: Deliveries) -> Deliveries:
    *counts, took = astuple(one)
    *more, took_too = astuple(other)
    return Deliveries(*(*_added(counts, more), _added(took, took_too)))


def add_attempts(one: Attempts, other: Attempts) -> Attempts:
    *counts, took, slowest, last = astuple(one)
    *more, took_too, slowest_too, last_too = astuple(other)
    peaks = max(slowest, slowest_too), max(last, last_too)
    return Attempts(*(*_added(counts, more), _added(took, took_too), *peaks))


def _added(one: Iterable[int], other: Iterable[int]) -> tuple[Any, ...]:
    return tuple(map(add, one, other))
