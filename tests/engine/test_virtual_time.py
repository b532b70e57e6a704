"""The engine over hours and days, in virtual time, against scripted receivers.

The seed of each run is in the test's name; the same seed replays the same order of tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from zlib import crc32

import msgspec
import pytest

from ringback.admit import Draft
from ringback.failures import FailureClass
from ringback.model import (
    DeliveryState,
    Integration,
    IntegrationSettings,
    IntegrationState,
    Profile,
)
from ringback.retry import MAX_JITTER_MS, MAX_JITTER_SHARE, PROFILES
from ringback.store.port import Change, DeliveryFilter, NewBusiness
from tests.engine.virtual import Rig, Script, VirtualLoop, run_virtually

SEEDS = range(6)
HOUR = 3_600
IQRA_DELAYS = PROFILES[Profile.IQRA].delays


def change(action: str = "test", at: int = 0) -> Change:
    return Change(actor="test", action=action, at=at)


def integration(
    integration_id: int, business_id: int, now: int, settings: IntegrationSettings
) -> Integration:
    return Integration(
        integration_id=integration_id,
        business_id=business_id,
        type="webhook",
        friendly_name=f"integration {integration_id}",
        url=f"https://receiver-{integration_id}.example/hooks",
        events=("*",),
        settings=settings,
        sealed_headers=None,
        secrets=(),
        state=IntegrationState.ACTIVE,
        state_reason=None,
        state_since=now,
        created_at=now,
        updated_at=now,
        version=1,
    )


async def with_integrations(
    rig: Rig, count: int, settings: IntegrationSettings | None = None
) -> list[Integration]:
    """A business per integration, so that each event makes one delivery."""
    made = []
    for number in range(1, count + 1):
        now = rig.store.now()
        business = await rig.store.create_business(NewBusiness(name=f"business {number}"), change(at=now))
        new = integration(number, business.business_id, now, settings or IntegrationSettings())
        made.append(await rig.store.create_integration(new, change(at=now)))
    return made


async def publish(rig: Rig, to: Integration, numbers: Sequence[int]) -> None:
    drafts = [Draft(message=rig.message(to.business_id, number), generated=False) for number in numbers]
    await rig.ingest.publish(to.business_id, drafts)


async def until_finished(rig: Rig, business_id: int, expected: int, poll_seconds: float = 600) -> None:
    """Bounded by the virtual clock: a month is more than any schedule."""
    for _ in range(int(30 * 24 * HOUR / poll_seconds)):
        page = await rig.store.list_deliveries(business_id, DeliveryFilter(), 200, None)
        finished = [one for one in page.items if one.finished_at is not None]
        if len(finished) == expected == len(page.items):
            return
        await asyncio.sleep(poll_seconds)
    raise AssertionError(f"{expected} deliveries of business {business_id} did not finish in a month")


def always(seconds: float, answer: int | FailureClass) -> Script:
    return lambda _: (seconds, answer)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_iqra_schedule_runs_to_its_end_at_its_exact_times(quick_folder: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, always(0.25, 500))
        (to,) = await with_integrations(rig, 1)
        await rig.start()
        await publish(rig, to, [1])
        await until_finished(rig, to.business_id, 1)
        seen = rig.receiver.seen
        assert [one.attempt for one in seen] == [1, 2, 3, 4, 5, 6]
        for (before, after), delay in zip(pairwise(seen), IQRA_DELAYS, strict=True):
            waited = after.at_ms - rig.receiver.ended[before.url, before.event_id, before.attempt]
            assert delay * 1000 <= waited <= delay * 1000 + 2
        page = await rig.store.list_deliveries(to.business_id, DeliveryFilter(), 10, None)
        assert [one.state for one in page.items] == [DeliveryState.DEAD]
        await rig.close()

    run_virtually(seed, main)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_attempt_is_ever_early_and_none_much_later_than_its_jitter(quick_folder: Path, seed: int) -> None:
    random = Random(seed)

    def flaky(_: str) -> tuple[float, int | FailureClass]:
        answers: list[int | FailureClass] = [200, 200, 500, 429, 503, FailureClass.CONNECTION_RESET]
        return random.uniform(0.001, 4.9), random.choice(answers)

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, flaky, jitter=random.random)
        made = await with_integrations(rig, 5)
        await rig.start()
        for number in range(20):
            await asyncio.gather(*(publish(rig, to, [number]) for to in made))
            await asyncio.sleep(random.uniform(0, 900))
        for to in made:
            await until_finished(rig, to.business_id, 20)
        ended = rig.receiver.ended
        retries = [one for one in rig.receiver.seen if one.attempt > 1]
        assert retries
        for one in retries:
            waited = one.at_ms - ended[one.url, one.event_id, one.attempt - 1]
            delay = IQRA_DELAYS[one.attempt - 2] * 1000
            assert delay <= waited <= delay + min(delay * MAX_JITTER_SHARE, MAX_JITTER_MS) + 50
        assert not rig.broken
        await rig.close()

    run_virtually(seed, main)


@pytest.mark.parametrize("seed", SEEDS)
def test_new_events_never_overtake_what_waits_in_their_lane(quick_folder: Path, seed: int) -> None:
    random = Random(seed)

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, lambda _: (random.uniform(0.01, 2), 200))
        (to,) = await with_integrations(rig, 1, IntegrationSettings(max_concurrency=3))
        await rig.start()
        number = 0
        for _ in range(60):
            size = random.choice([1, 1, 2, 5, 30])
            await publish(rig, to, range(number, number + size))
            number += size
            await asyncio.sleep(random.uniform(0, 3))
        await until_settled(rig)
        started = [int(one.event_id.rsplit("_", 1)[1]) for one in rig.receiver.seen]
        assert started == list(range(number))
        assert rig.receiver.most_open[to.url] == 3
        await rig.close()

    run_virtually(seed, main)


async def until_settled(rig: Rig, poll_seconds: float = 1) -> None:
    for _ in range(100_000):
        depth = await rig.store.queue_depth(rig.store.now())
        if depth.queued + depth.retrying + depth.sending == 0:
            return
        await asyncio.sleep(poll_seconds)
    raise AssertionError(f"work is left: {depth}")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hung_lane_with_a_long_backlog_keeps_no_other_waiting(quick_folder: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        def hung_first(url: str) -> tuple[float, int | FailureClass]:
            hung = "receiver-1." in url
            return (5.0, FailureClass.RESPONSE_TIMEOUT) if hung else (0.02, 200)

        rig = await Rig.open(quick_folder / "db", loop, hung_first, window=40)
        sick, *healthy = await with_integrations(rig, 8)
        await rig.start()
        await publish(rig, sick, range(1_000))
        for number in range(50):
            await asyncio.gather(*(publish(rig, to, [number]) for to in healthy))
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        late = [
            result.outcome.started_at - result.leased.created_at
            for result, _ in rig.results
            if result.leased.integration_id != sick.integration_id
        ]
        assert len(late) == 50 * len(healthy)
        assert max(late) <= 100, "a healthy lane waited for a sick one"
        assert rig.receiver.most_open_in_all <= 40
        assert rig.receiver.most_open[sick.url] == 20, "half the window is the most that one lane gets"
        await rig.close()

    run_virtually(seed, main)


@pytest.mark.parametrize("seed", SEEDS)
def test_lanes_that_overflow_are_served_in_turns(quick_folder: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, always(0.5, 200), window=20)
        made = await with_integrations(rig, 10)
        await rig.start()
        await publish(rig, made[0], range(500))
        for to in made[1:]:
            await publish(rig, to, range(100))
        await asyncio.sleep(30)
        served = {url: len(seen) for url, seen in rig.receiver.by_url().items()}
        small = [served[to.url] for to in made[1:]]
        assert min(small) == 100, "30 s at 40 a second is enough for each of nine lanes' 100"
        await until_settled(rig)
        await rig.close()

    run_virtually(seed, main)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pause_holds_at_once_and_a_resume_loses_nothing(quick_folder: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, always(0.3, 200))
        (to,) = await with_integrations(rig, 1, IntegrationSettings(max_concurrency=2))
        await rig.start()
        await publish(rig, to, range(50))
        await asyncio.sleep(1)
        paused = await set_state(rig, to, IntegrationState.PAUSED)
        at_pause = len(rig.receiver.seen)
        await publish(rig, to, range(50, 60))
        await asyncio.sleep(2 * HOUR)
        assert len(rig.receiver.seen) == at_pause
        page = await rig.store.list_deliveries(to.business_id, DeliveryFilter(state="held"), 200, None)
        assert len(page.items) == 60 - at_pause
        await set_state(rig, paused, IntegrationState.ACTIVE)
        await until_settled(rig)
        assert sorted(int(one.event_id.rsplit("_", 1)[1]) for one in rig.receiver.seen) == list(range(60))
        await rig.close()

    run_virtually(seed, main)


async def set_state(rig: Rig, current: Integration, state: IntegrationState) -> Integration:
    changed = msgspec.structs.replace(current, state=state, state_since=rig.store.now())
    saved = await rig.store.save_integration(changed, change(at=rig.store.now()))
    await rig.live.refresh()
    return saved


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_hours_of_mixed_receivers_finish_every_delivery(quick_folder: Path, seed: int) -> None:
    random = Random(seed)

    def moody(url: str) -> tuple[float, int | FailureClass]:
        mood = crc32(f"{url} {loop_hour[0] // 5}".encode()) % 4
        return (
            (random.uniform(0.01, 0.5), 200) if mood else (random.uniform(0.01, 5), random.choice([500, 404]))
        )

    loop_hour = [0]

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, moody, jitter=random.random)
        made = await with_integrations(rig, 6)
        await rig.start()
        for hour in range(1_000):
            loop_hour[0] = hour
            await publish(rig, random.choice(made), [hour])
            await asyncio.sleep(HOUR)
        await until_settled(rig, poll_seconds=600)
        finished = {result.leased.delivery_id for result, recorded in rig.results if recorded}
        assert len(finished) == 1_000
        assert not rig.broken
        assert rig.engine.lanes.window_in_use == 0
        assert rig.engine.in_flight == 0
        await rig.close()

    run_virtually(seed, main)
