"""Ranges in whole buckets, percentiles within theirs, rates between 0 and 1."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.errors import InvalidRequest
from ringback.statistics import (
    BOUNDS_MS,
    DAY_MS,
    GRAINS_MS,
    HOUR_MS,
    MAX_BUCKETS,
    MINUTE_MS,
    NOTHING,
    Attempts,
    Bucket,
    Counts,
    Deliveries,
    bucket_of,
    cover,
    percentile,
    range_of,
    total,
)

# A Friday, 13:46:40.123 UTC.
NOW = 1_789_739_200_123


def histogram(times: list[float]) -> tuple[int, ...]:
    counts = list(NOTHING)
    for ms in times:
        counts[bucket_of(ms)] += 1
    return tuple(counts)


# ---------------------------------------------------------------- ranges


def test_the_default_is_the_last_24_hours_in_whole_hours() -> None:
    found = range_of(None, None, None, NOW)

    assert found.bucket is Bucket.HOUR
    assert (found.since, found.until) == (NOW - NOW % HOUR_MS - DAY_MS, NOW - NOW % HOUR_MS + HOUR_MS)
    assert len(found.starts) == 25


@pytest.mark.parametrize(
    ("length", "bucket"),
    [
        (1, "1m"),
        (3 * HOUR_MS, "1m"),
        (200 * MINUTE_MS, "1m"),
        (201 * MINUTE_MS, "5m"),
        (DAY_MS, "1h"),
        (7 * DAY_MS, "1h"),
        (30 * DAY_MS, "1d"),
        (1_999 * DAY_MS, "1d"),
    ],
)
def test_a_bucket_is_chosen_that_fits(length: int, bucket: str) -> None:
    found = range_of(NOW - length, NOW, None, NOW)

    assert found.bucket == bucket
    assert found.since <= NOW - length < found.since + found.bucket.ms
    assert found.until - found.bucket.ms < NOW <= found.until


def test_days_are_days_of_utc() -> None:
    found = range_of(NOW - DAY_MS, NOW, Bucket.DAY, NOW)

    assert [start % DAY_MS for start in found.starts] == [0, 0]


def test_without_since_the_range_is_24_hours_before_its_end() -> None:
    assert range_of(None, 10 * DAY_MS, Bucket.HOUR, NOW).since == 9 * DAY_MS
    assert range_of(None, HOUR_MS, Bucket.HOUR, NOW).since == 0


@pytest.mark.parametrize(("since", "until"), [(NOW, NOW), (NOW, NOW - 1), (NOW + 1, None), (0, 0)])
def test_a_range_that_ends_before_it_begins_is_refused(since: int, until: int | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        range_of(since, until, None, NOW)
    assert [error.field for error in refused.value.errors] == ["Since"]


@pytest.mark.parametrize("bucket", [*Bucket])
def test_no_more_than_2000_buckets_are_made(bucket: Bucket) -> None:
    whole = NOW - NOW % bucket.ms
    assert len(range_of(whole - 2_000 * bucket.ms, whole, bucket, NOW).starts) == MAX_BUCKETS

    with pytest.raises(InvalidRequest) as refused:
        range_of(whole - 2_000 * bucket.ms - 1, whole, bucket, NOW)
    assert [error.field for error in refused.value.errors] == ["Bucket"]


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_a_time_is_covered_once_by_whole_units(first: int, minutes: int) -> None:
    since, until = first * MINUTE_MS, (first + minutes) * MINUTE_MS
    spans = list(cover(since, until))

    assert [spans[0].since, spans[-1].until] == [since, until]
    assert all(one.until == other.since for one, other in pairwise(spans))
    assert all(span.since % span.grain == span.until % span.grain == 0 for span in spans)
    assert len(spans) <= 2 * len(GRAINS_MS) - 1
    assert all((span.until - span.since) < 2 * DAY_MS for span in spans if span.grain != DAY_MS)


def test_an_empty_time_is_covered_by_nothing() -> None:
    assert list(cover(DAY_MS, DAY_MS)) == []


# ---------------------------------------------------------------- percentiles


@given(st.lists(st.floats(0, 10**7), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(times: list[float], share: float) -> None:
    rank = next(place for place in range(len(times)) if place + 1 >= share * len(times))
    true = sorted(times)[rank]
    found = percentile(histogram(times), share, slowest=max(times))

    assert found is not None
    low = BOUNDS_MS[bucket_of(true) - 1] if bucket_of(true) else 0
    high = BOUNDS_MS[bucket_of(true)] if bucket_of(true) < len(BOUNDS_MS) else max(times)
    assert low - 0.1 <= found <= high + 0.1


@given(st.lists(st.floats(0, 10**7), min_size=1))
def test_percentiles_rise(times: list[float]) -> None:
    found = [percentile(histogram(times), share) or 0 for share in (0.5, 0.95, 0.99)]
    assert found == sorted(found)


def test_no_percentile_is_beyond_the_slowest() -> None:
    """Attempts that ran into their limit of 5 s did not take 7."""
    assert percentile(histogram([5_000.4] * 10), 0.99, slowest=5_001) == pytest.approx(5_001, abs=0.5)
    assert percentile(histogram([5_000.4] * 10), 0.99) == pytest.approx(9_931, abs=10)


def test_an_hour_stands_for_what_is_beyond_it() -> None:
    assert percentile(histogram([10**9]), 0.5) == 3_600_000


def test_without_data_there_is_no_percentile() -> None:
    assert percentile(NOTHING, 0.5) is None


# ---------------------------------------------------------------- counts


def test_without_data_there_are_no_rates() -> None:
    nothing = Counts()
    assert (nothing.first_try_rate, nothing.delivered_rate, nothing.attempt_failure_rate) == (None,) * 3
    assert (nothing.attempt_ms(0.5), nothing.end_to_end_ms(0.5)) == (None, None)


def test_rates_are_shares() -> None:
    counts = Counts(
        deliveries=Deliveries(created=10, delivered=6, dead=2, first_ended=8, first_succeeded=4),
        attempts=Attempts(succeeded=6, failed=18),
    )
    assert (counts.first_try_rate, counts.delivered_rate, counts.attempt_failure_rate) == (0.5, 0.75, 0.75)
    assert counts.deliveries.open == 2


def test_a_total_adds_up_counts_and_keeps_peaks() -> None:
    one = Counts(
        1,
        Deliveries(created=2, delivered=1, took=histogram([3])),
        Attempts(failed=1, took=histogram([3]), slowest_ms=3, last_success=9),
    )
    other = Counts(
        2, Deliveries(created=3, took=histogram([3, 7])), Attempts(failed=2, slowest_ms=2, last_success=10)
    )
    assert total([one, other]) == Counts(
        3,
        Deliveries(created=5, delivered=1, took=histogram([3, 3, 7])),
        Attempts(failed=3, took=histogram([3]), slowest_ms=3, last_success=10),
    )
    assert total([]) == Counts()


def test_nothing_is_less_than_not_open() -> None:
    assert Deliveries(delivered=1).open == 0
