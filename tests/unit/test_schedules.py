"""Retries over a whole life: any schedule, any answers, any chance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.failures import FAILURES, FailureClass
from ringback.model import Decision, DeliveryState, IntegrationSettings, Leased, Message, Outcome, Timings
from ringback.retry import PROFILES, Policy, decide, next_step, parse_retry_after, policy_of

NOON = 1_790_000_000_000
DAY_MS = 24 * 3_600_000
MESSAGE = Message(event_id="evt_1", event_type="a.b", business_id=1, timestamp=NOON, data=b"{}")

schedules = st.lists(st.integers(1, 604_800), max_size=20).map(
    lambda delays: policy_of(IntegrationSettings(retry_schedule=tuple(delays)))
)
policies = schedules | st.sampled_from(list(PROFILES.values()))
chances = st.floats(0, 1, exclude_max=True)
moments = st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
retry_afters = (
    st.integers(0, 10**6).map(str)
    | st.text(max_size=40)
    | st.datetimes().map(format_datetime)
    | moments.map(lambda moment: format_datetime(moment, usegmt=True))
)
answers = st.builds(
    lambda status, asked: (status, () if asked is None else (("Retry-After", asked),)),
    st.sampled_from([None, 302, 400, 429, 500, 503]),
    st.none() | retry_afters,
)
Answer = tuple[int | None, tuple[tuple[str, str], ...]]


def leased(tries: int, *, replay: bool = False, due_at: int = NOON) -> Leased:
    return Leased(
        delivery_id=1,
        integration_id=1,
        message=MESSAGE,
        attempts=tries,
        tries=tries,
        due_at=due_at,
        created_at=NOON,
        replay=replay,
    )


def failed(policy: Policy, tries: int, answer: Answer, now: int, chance: float) -> Decision:
    status, headers = answer
    outcome = Outcome(started_at=now, ended_at=now, timings=Timings(), status=status, headers=headers)
    return decide(policy, leased(tries), outcome, FailureClass.SERVER_500, now, chance)


@given(policies, st.data())
def test_a_delivery_that_never_succeeds_has_its_schedule_s_attempts_and_is_dead(
    policy: Policy, data: st.DataObject
) -> None:
    now = NOON
    for tries in range(len(policy.delays)):
        decision = failed(policy, tries, (500, ()), now, data.draw(chances))
        assert decision.state is DeliveryState.RETRYING
        assert decision.due_at is not None
        now = decision.due_at + data.draw(st.integers(0, 10**6))
    assert failed(policy, len(policy.delays), (500, ()), now, 0.5) == Decision(state=DeliveryState.DEAD)


@given(policies, st.data(), answers, chances)
def test_no_attempt_is_early_or_later_than_chance_and_the_receiver_can_make_it(
    policy: Policy, data: st.DataObject, answer: Answer, chance: float
) -> None:
    tries = data.draw(st.integers(0, len(policy.delays)))
    decision = failed(policy, tries, answer, NOON, chance)
    if tries == len(policy.delays):
        assert decision.state is DeliveryState.DEAD
        return
    planned = policy.delays[tries] * 1_000
    assert decision.due_at is not None
    latest = max(planned + min(planned * 0.05, 60_000), DAY_MS)
    assert planned <= decision.due_at - NOON <= latest


@given(policies, st.data(), answers, chances)
def test_what_a_receiver_asks_for_delays_and_never_hastens(
    policy: Policy, data: st.DataObject, answer: Answer, chance: float
) -> None:
    tries = data.draw(st.integers(0, max(len(policy.delays) - 1, 0)))
    asked, plain = (failed(policy, tries, one, NOON, chance) for one in (answer, (answer[0], ())))

    assert asked.state is plain.state
    assert (asked.due_at or 0) >= (plain.due_at or 0)
    if answer[0] not in (429, 503):
        assert asked == plain


@given(schedules, st.integers(0, 21), st.sampled_from(sorted(FAILURES)), answers, chances)
def test_a_manual_attempt_uses_up_no_step_of_any_schedule(
    policy: Policy, tries: int, failure: FailureClass, answer: Answer, chance: float
) -> None:
    outcome = Outcome(started_at=NOON, ended_at=NOON, timings=Timings(), status=answer[0], headers=answer[1])
    manual, automatic = leased(tries + 1, replay=True), leased(tries)

    assert next_step(manual) == next_step(automatic)
    assert decide(policy, manual, outcome, failure, NOON, chance) == decide(
        policy, automatic, outcome, failure, NOON, chance
    )


# ---------------------------------------------------------------- Retry-After

SPELLINGS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")


@given(st.integers(0, 10**9), st.integers(0, 3), st.sampled_from(["", " ", "\t", "  "]))
def test_seconds_are_read_as_they_are_written(seconds: int, zeros: int, space: str) -> None:
    written = f"{space}{'0' * zeros}{seconds}{space}"

    assert parse_retry_after(written, NOON) == min(seconds * 1_000, DAY_MS)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2068, 1, 1)).map(lambda one: one.replace(microsecond=0)))
def test_the_three_spellings_of_a_date_mean_the_same_moment(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    ahead = max(int(moment.timestamp()) * 1_000 - NOON, 0)

    assert [parse_retry_after(moment.strftime(one), NOON) for one in SPELLINGS] == [ahead] * 3


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_date_without_a_zone_is_of_utc_wherever_the_host_is(spelling: str) -> None:
    written = datetime.fromtimestamp(NOON / 1_000 + 60, UTC).strftime(spelling)

    assert parse_retry_after(written, NOON) == 60_000
