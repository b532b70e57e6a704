"""The circuit breaker: its rules as values, and a lane behind it in virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from ringback.engine.breaker import (
    CLOSED,
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    RECOVERED_AT,
    TRIPS_AFTER,
    Breaker,
    after_failure,
    after_success,
    limit,
)
from ringback.failures import FailureClass
from ringback.model import DeliveryState, IntegrationSettings, Profile
from ringback.store.port import DeliveryFilter
from tests.engine.test_virtual_time import publish, until_settled, with_integrations
from tests.engine.virtual import Rig, VirtualLoop, run_virtually

NOW = 1_000_000
HOUR = 3_600
STANDARD = IntegrationSettings(profile=Profile.STANDARD)


def tripped() -> Breaker:
    breaker = CLOSED
    for _ in range(TRIPS_AFTER):
        breaker = after_failure(breaker, NOW)
    return breaker


def test_it_opens_after_a_run_of_nothing_but_failures() -> None:
    breaker = CLOSED
    for _ in range(TRIPS_AFTER - 1):
        breaker = after_failure(breaker, NOW)
    assert limit(breaker, 50, NOW) == 50
    assert limit(after_failure(breaker, NOW), 50, NOW) == 0


def test_one_success_ends_the_run() -> None:
    breaker = CLOSED
    for _ in range(TRIPS_AFTER * 3):
        breaker = after_failure(after_success(breaker), NOW)
    assert limit(breaker, 50, NOW) == 50


def test_when_the_pause_is_over_one_probe_may_go() -> None:
    breaker = tripped()
    assert limit(breaker, 50, NOW + FIRST_PAUSE_MS - 1) == 0
    assert limit(breaker, 50, NOW + FIRST_PAUSE_MS) == 1


def test_pauses_grow_to_a_limit_while_probes_fail() -> None:
    breaker, now, pauses = tripped(), NOW, []
    for _ in range(12):
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - now)
        now = breaker.open_until
        breaker = after_failure(breaker, now)
    assert pauses[:3] == [FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS, 4 * FIRST_PAUSE_MS]
    assert pauses[-1] == pauses[-2] == LONGEST_PAUSE_MS


def test_late_failures_of_attempts_from_before_change_nothing() -> None:
    breaker = tripped()
    assert after_failure(breaker, NOW + 1) is breaker


def test_success_lets_the_lane_rise_step_by_step() -> None:
    breaker, limits = tripped(), []
    while breaker is not CLOSED:
        breaker = after_success(breaker)
        limits.append(limit(breaker, 50, NOW))
    assert limits == [2, 4, 8, 16, 32, 50]
    assert RECOVERED_AT > 50


def test_a_failure_while_recovering_opens_it_again() -> None:
    assert limit(after_failure(after_success(tripped()), NOW), 50, NOW) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_dead_endpoint_costs_its_backlog_nothing_and_is_drained_when_it_is_back(
    tmp_path: Path, seed: int
) -> None:
    back = [False]

    def dead_for_a_while(_: str) -> tuple[float, int | FailureClass]:
        return (0.05, 200) if back[0] else (0.05, FailureClass.CONNECT_REFUSED)

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, dead_for_a_while)
        (to,) = await with_integrations(rig, 1, STANDARD)
        await rig.start()
        for batch in range(10):
            await publish(rig, to, range(batch * 50, batch * 50 + 50))
            await asyncio.sleep(1)
        await asyncio.sleep(HOUR)
        during = len(rig.receiver.seen)
        assert during < 150, "500 deliveries would have made far more attempts without it"
        probes = [one.at_ms for one in rig.receiver.seen[-3:]]
        waits = [after - before for before, after in pairwise(probes)]
        assert min(waits) >= LONGEST_PAUSE_MS
        untouched = await rig.store.list_deliveries(
            to.business_id, DeliveryFilter(state=DeliveryState.QUEUED), 200, None
        )
        assert {one.attempts for one in untouched.items} == {0}
        back[0] = True
        await until_settled(rig)
        assert rig.receiver.seen[during + 1].at_ms - rig.receiver.seen[during].at_ms > 0, "one probe first"
        states = {result.leased.delivery_id: result.decision.state for result, _ in rig.results}
        assert set(states.values()) == {DeliveryState.DELIVERED}
        assert len(states) == 500
        await rig.close()

    run_virtually(seed, main)


def test_the_iqra_profile_keeps_its_schedule_whatever_happens(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, lambda _: (0.05, 500))
        (to,) = await with_integrations(rig, 1)
        await rig.start()
        await publish(rig, to, range(100))
        await asyncio.sleep(30)
        assert len(rig.receiver.seen) == 100
        await asyncio.sleep(60)
        assert len(rig.receiver.seen) == 200
        await rig.close()

    run_virtually(0, main)
