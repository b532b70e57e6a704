"""What happens after an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.failures import FailureClass
from ringback.model import (
    Decision,
    DeliveryState,
    IntegrationSettings,
    Leased,
    Message,
    Outcome,
    Profile,
    Timings,
)
from ringback.retry import PROFILES, Policy, decide, parse_retry_after, policy_of

NOW = 1_795_435_200_000
DAY_MS = 24 * 3_600_000
IQRA, STANDARD = PROFILES[Profile.IQRA], PROFILES[Profile.STANDARD]
HTTP_DATE = datetime.fromtimestamp(NOW / 1000, UTC)
jitters = st.floats(0, 1, exclude_max=True)


def leased(tries: int = 0, *, replay: bool = False) -> Leased:
    message = Message(event_id="e", event_type="a.b", business_id=1, timestamp=0, data=b"{}")
    return Leased(
        delivery_id=1,
        integration_id=1,
        message=message,
        attempts=tries,
        tries=tries,
        due_at=0,
        created_at=0,
        replay=replay,
    )


def outcome(status: int | None = 500, *headers: tuple[str, str]) -> Outcome:
    return Outcome(started_at=NOW, ended_at=NOW, timings=Timings(), status=status, headers=headers)


def due_in(policy: Policy, tries: int, answer: Outcome, jitter: float = 0.0) -> int:
    decision = decide(policy, leased(tries), answer, FailureClass.SERVER_500, NOW, jitter)
    assert decision.state is DeliveryState.RETRYING
    assert decision.due_at is not None
    return decision.due_at - NOW


def test_success_is_delivered() -> None:
    assert decide(IQRA, leased(), outcome(200), None, NOW, 0.5) == Decision(state=DeliveryState.DELIVERED)


def test_the_iqra_schedule() -> None:
    assert [due_in(IQRA, tries, outcome()) / 60_000 for tries in range(5)] == [1, 5, 15, 60, 360]
    assert IQRA.max_attempts == 6


def test_the_standard_schedule() -> None:
    hours = [due_in(STANDARD, tries, outcome()) / 3_600_000 for tries in range(3, 9)]

    assert [due_in(STANDARD, tries, outcome()) / 1000 for tries in range(3)] == [5, 300, 1800]
    assert hours == [2, 5, 10, 14, 20, 24]
    assert STANDARD.max_attempts == 10


@pytest.mark.parametrize("policy", [IQRA, STANDARD])
def test_after_the_last_retry_it_is_dead(policy: Policy) -> None:
    decision = decide(policy, leased(len(policy.delays)), outcome(), FailureClass.SERVER_500, NOW, 0.0)

    assert decision == Decision(state=DeliveryState.DEAD)


@given(st.integers(1, 604_800), jitters)
def test_jitter_is_upward_only_and_bounded(seconds: int, jitter: float) -> None:
    policy = policy_of(IntegrationSettings(retry_schedule=(seconds,)))

    late = due_in(policy, 0, outcome(), jitter) - seconds * 1000

    assert 0 <= late <= min(seconds * 1000 * 0.05, 60_000)


def test_jitter_spreads() -> None:
    assert due_in(IQRA, 0, outcome(), 0.5) == 61_500


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_delays_further(status: int) -> None:
    assert due_in(IQRA, 0, outcome(status, ("Retry-After", "120"))) == 120_000
    assert due_in(IQRA, 0, outcome(status, ("retry-after", "5"))) == 60_000
    in_ten_minutes = format_datetime(HTTP_DATE + timedelta(minutes=10), usegmt=True)
    assert due_in(IQRA, 0, outcome(status, ("Retry-After", in_ten_minutes))) == 600_000


@pytest.mark.parametrize("asked", ["172800", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_is_capped_at_a_day(asked: str) -> None:
    assert due_in(IQRA, 0, outcome(429, ("Retry-After", asked))) == DAY_MS


def test_a_later_planned_time_wins_over_the_cap() -> None:
    policy = policy_of(IntegrationSettings(retry_schedule=(604_800,)))

    assert due_in(policy, 0, outcome(429, ("Retry-After", "172800"))) == 7 * DAY_MS


@pytest.mark.parametrize("status", [None, 301, 400, 500, 502])
def test_retry_after_counts_on_429_and_503_alone(status: int | None) -> None:
    assert due_in(IQRA, 0, outcome(status, ("Retry-After", "7200"))) == 60_000


@given(
    st.text(max_size=40) | st.from_regex(r"\A[0-9A-Za-z ,:+-]{0,40}\Z") | st.datetimes().map(format_datetime),
    st.integers(0, 4_102_444_800_000),
)
def test_any_retry_after_is_read_or_ignored(value: str, now: int) -> None:
    asked = parse_retry_after(value, now)

    assert asked is None or asked >= 0


@given(st.integers(0, 10**9), st.integers(0, 4_000_000_000))
def test_a_date_is_never_read_as_earlier(ahead: int, now_s: int) -> None:
    moment = datetime.fromtimestamp(now_s + ahead, UTC)

    assert parse_retry_after(format_datetime(moment, usegmt=True), now_s * 1000) == ahead * 1000


@pytest.mark.parametrize(
    "value", ["", "soon", "-1", "1.5", "٣", "1e3", "0x10", "Mon, 99 Foo 2026 12:00:00 GMT"]
)
def test_nonsense_is_ignored(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


def test_a_date_in_the_past_asks_for_nothing() -> None:
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", NOW) == 0


def test_gone_disables_in_the_standard_profile_alone() -> None:
    standard = decide(STANDARD, leased(), outcome(410), FailureClass.GONE_410, NOW, 0.0)
    iqra = decide(IQRA, leased(), outcome(410), FailureClass.GONE_410, NOW, 0.0)

    assert (standard.state, standard.disable_integration) == (DeliveryState.RETRYING, True)
    assert (iqra.state, iqra.disable_integration) == (DeliveryState.RETRYING, False)


def test_a_manual_attempt_uses_up_no_step() -> None:
    automatic = decide(IQRA, leased(2), outcome(), FailureClass.SERVER_500, NOW, 0.0)
    manual = decide(IQRA, leased(3, replay=True), outcome(), FailureClass.SERVER_500, NOW, 0.0)

    assert manual == automatic


def test_a_manual_attempt_of_a_dead_delivery_leaves_it_dead() -> None:
    decision = decide(IQRA, leased(1_000, replay=True), outcome(), FailureClass.SERVER_500, NOW, 0.0)

    assert decision == Decision(state=DeliveryState.DEAD)


def test_profiles() -> None:
    assert (IQRA.success_codes, IQRA.timeout_ms) == (frozenset({200}), 5_000)
    assert (STANDARD.success_codes, STANDARD.timeout_ms) == (frozenset(range(200, 300)), 15_000)


def test_each_field_can_be_set_alone() -> None:
    policy = policy_of(
        IntegrationSettings(timeout_seconds=7, retry_schedule=(1, 2), success_codes=(200, 202))
    )

    assert policy == Policy(
        success_codes=frozenset({200, 202}),
        timeout_ms=7_000,
        delays=(1, 2),
        gone_disables=False,
        circuit_breaker=False,
    )
    assert policy_of(IntegrationSettings(retry_schedule=())).max_attempts == 1
