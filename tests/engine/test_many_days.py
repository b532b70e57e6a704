"""What a node does by itself, over two hundred days of random traffic in virtual time.

Retention, folding, secrets and sessions that expire, pauses that last too long: nothing that waits may be
lost over it, and the statistics go on telling the truth about what is left.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import msgspec
import pytest

from ringback.engine.retention import Retention
from ringback.errors import Conflict
from ringback.failures import FailureClass
from ringback.keyring import KeyRing, secret_owner
from ringback.model import (
    FINISHED,
    DeliveryState,
    Integration,
    IntegrationSettings,
    IntegrationState,
    Profile,
    SecretState,
)
from ringback.people import Credentials, Role, new_session, new_user
from ringback.statistics import DAY_MS, Bucket, total, widen
from ringback.store.port import Asked, DeliveryFilter
from tests import builders
from tests.builders import change
from tests.engine.test_virtual_time import publish, with_integrations
from tests.engine.virtual import START_MS, Rig, Script, VirtualLoop, run_virtually
from tests.model import charts
from tests.model.contents import Contents
from tests.model.rows import look

SEEDS = range(1)
DAYS, CHECKED_EVERY = 200, 20
DAY_SECONDS = 86_400
RETENTION_SECONDS = 12 * 3_600
KEEP = msgspec.structs.replace(builders.KEEP, audit=50)
# Younger than this is every event that is kept whole.
WHOLE_DAYS = KEEP.attempts - 5
LANES = 4
LONG_PAUSE = (40, 90)


class Life:
    """A node, what is done to it day by day, and a ledger of what must have become of every event."""

    def __init__(self, rig: Rig, lanes: list[Integration], random: Random) -> None:
        self.rig = rig
        self.lanes = lanes
        self.random = random
        self.published: dict[str, int] = {}
        self.finished: dict[str, DeliveryState] = {}
        self.given_up: Counter[int] = Counter()
        self.removed: Counter[str] = Counter()
        self.sessions: list[bytes] = []
        self._read = 0

    # -- what happens

    async def day(self, number: int) -> None:
        await self._pause_and_resume(number)
        events = self.random.randint(1, 6)
        for _ in range(events):
            await self._publish()
            await asyncio.sleep(DAY_SECONDS / events)
        if number % 5 == 0:
            await self._rotate(self.random.randrange(LANES))
            await self._sign_in(number)
            await self._retry_by_hand()

    async def _pause_and_resume(self, number: int) -> None:
        if number in LONG_PAUSE:
            paused = number == LONG_PAUSE[0]
            await self._set_state(0, IntegrationState.PAUSED if paused else IntegrationState.ACTIVE)
        if self.random.random() < 0.2:
            place = self.random.randrange(1, LANES)
            await self._set_state(place, self.random.choice([*IntegrationState]))

    async def _set_state(self, place: int, state: IntegrationState) -> None:
        await self.save(place, state=state, state_since=self.rig.store.now())

    async def _publish(self) -> None:
        place = self.random.randrange(LANES)
        business_id = self.lanes[place].business_id
        number = len(self.published)
        await publish(self.rig, self.lanes[place], [number])
        self.published[f"evt_{business_id}_{number}"] = business_id

    async def _rotate(self, place: int) -> None:
        """The old secret has a day to go."""
        store, now, to = self.rig.store, self.rig.store.now(), self.lanes[place]
        secret_id = now * 10
        current = builders.secret(secret_id, at=now)
        sealed = KeyRing([bytes(32)]).seal(b"a secret of the day", secret_owner(secret_id))
        new = msgspec.structs.replace(current, sealed=sealed)
        outgoing = [
            msgspec.structs.replace(old, state=SecretState.OUTGOING, expires_at=now + DAY_MS)
            for old in (await store.get_integration(to.business_id, to.integration_id)).secrets
            if old.state is SecretState.CURRENT
        ]
        await self.save(place, secrets=(new, *outgoing))

    async def save(self, place: int, **fields: Any) -> None:
        store, to = self.rig.store, self.lanes[place]
        newest = await store.get_integration(to.business_id, to.integration_id)
        changed = msgspec.structs.replace(newest, **fields)
        self.lanes[place] = await store.save_integration(changed, change(at=store.now()))
        await self.rig.live.refresh()

    async def _sign_in(self, number: int) -> None:
        store, now = self.rig.store, self.rig.store.now()
        user = new_user(number + 1, f"ada{number}@example.com", None, Role.OWNER, now)
        who = Credentials(user=user, password_hash="x")
        await store.create_user(who, change(at=now))
        session = new_session(number + 1, user.user_id, b"%d" % number, "", now)
        await store.sign_in(session, who, "", None, change("session.create", at=now))
        self.sessions.append(session.digest)

    async def _retry_by_hand(self) -> None:
        """Of what is finished; some of it is past retention, which is refused."""
        lane = self.random.choice(self.lanes)
        state = self.random.choice([DeliveryState.DEAD, DeliveryState.DELIVERED])
        page = await self.rig.store.list_deliveries(lane.business_id, DeliveryFilter(state=state), 200, None)
        if not page.items:
            return
        chosen = self.random.choice(page.items)
        with suppress(Conflict):
            await self.rig.store.retry_delivery(
                chosen.business_id, chosen.delivery_id, change(at=self.rig.store.now())
            )
            self._read_results()
            self.finished.pop(chosen.event_id, None)
            self.rig.engine.wake(chosen.integration_id)

    async def end(self) -> None:
        """Nothing is held any more, and there is time for the longest schedule and all that expires."""
        for place in range(LANES):
            await self._set_state(place, IntegrationState.ACTIVE)
        await asyncio.sleep(5 * DAY_SECONDS)

    def swept(self, removed: Mapping[str, int], _at: int) -> None:
        self.removed.update(removed)

    # -- what must be true

    async def check(self) -> None:
        contents: Contents = (await look(self.rig.store)).reference
        self._read_results()
        self._check_nothing_is_lost(contents)
        for lane in self.lanes:
            await self._check_charts(contents, lane.business_id)
            await self._check_sums(lane.business_id)

    def _read_results(self) -> None:
        for result, recorded in self.rig.results[self._read :]:
            if recorded and result.decision.state in FINISHED:
                self.finished[result.leased.message.event_id] = result.decision.state
        self._read = len(self.rig.results)

    def _check_nothing_is_lost(self, contents: Contents) -> None:
        """What has not finished waits with its payload, or was held for too long and is listed as dead."""
        there = {contents.events[one.event_row].message.event_id: one for one in contents.deliveries.values()}
        messages = {one.message.event_id: one.message for one in contents.events.values()}
        for event_id in self.published.keys() - self.finished.keys():
            delivery = there[event_id]
            if delivery.state is DeliveryState.DEAD:
                assert (delivery.finished_at or 0) - delivery.created_at >= KEEP.held * DAY_MS
                self.given_up[delivery.integration_id] += 1
                self.finished[event_id] = delivery.state
            else:
                assert delivery.state not in FINISHED
                assert messages[event_id].data == b"{}"

    async def _check_charts(self, contents: Contents, business_id: int) -> None:
        now = self.rig.store.now()
        for bucket, days in ((Bucket.DAY, WHOLE_DAYS), (Bucket.HOUR, WHOLE_DAYS), (Bucket.MINUTE, 1)):
            asked = Asked(range=widen(max(START_MS, now - days * DAY_MS), now + 1, bucket))
            found = await self.rig.store.statistics(business_id, asked)
            assert found == charts.statistics(contents, business_id, asked)

    async def _check_sums(self, business_id: int) -> None:
        """Of all the time: what is deleted still counts."""
        asked = Asked(range=widen(START_MS, self.rig.store.now() + 1, Bucket.DAY))
        counts = total((await self.rig.store.statistics(business_id, asked)).buckets.values())
        own = [event_id for event_id, business in self.published.items() if business == business_id]
        states = Counter(self.finished[event_id] for event_id in own if event_id in self.finished)
        assert counts.events == counts.deliveries.created == len(own)
        assert counts.deliveries.delivered == states[DeliveryState.DELIVERED]
        assert counts.deliveries.dead == states[DeliveryState.DEAD]

    async def check_end(self) -> None:
        await self.check()
        store, now = self.rig.store, self.rig.store.now()
        assert self.finished.keys() == self.published.keys()
        assert self.given_up, "some were held for too long"
        kept: Contents = (await look(store)).reference
        finished = [one.finished_at or now for one in kept.deliveries.values()]
        assert min(finished) > now - (KEEP.attempts + 1) * DAY_MS
        assert self.removed.keys() >= {
            "payloads",
            "events",
            "deliveries",
            "attempts",
            "minute_stats",
            "audit",
        }
        for lane in self.lanes:
            secrets = (await store.get_integration(lane.business_id, lane.integration_id)).secrets
            assert {one.state for one in secrets} <= {SecretState.CURRENT}
        assert [await store.find_session(one, START_MS) for one in self.sessions] == [None] * len(
            self.sessions
        )

    def check_loops(self) -> None:
        rig = self.rig
        assert not rig.broken
        assert not rig.metrics.trouble
        assert (rig.engine.in_flight, rig.engine.lanes.window_in_use) == (0, 0)


def moody(random: Random, loop: VirtualLoop) -> Script:
    """Each receiver has good days and bad ones."""
    failing: list[int | FailureClass] = [500, 404, 200, FailureClass.RESPONSE_TIMEOUT]

    def answer(url: str) -> tuple[float, int | FailureClass]:
        days = loop.time() // (4 * DAY_SECONDS)
        if crc32(f"{url} {days}".encode()) % 4:
            return random.uniform(0.01, 0.5), 200
        return random.uniform(0.01, 5), random.choice(failing)

    return answer


@pytest.mark.parametrize("seed", SEEDS)
def test_two_hundred_days_lose_nothing_and_are_counted_right(quick_folder: Path, seed: int) -> None:
    random = Random(seed)

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(quick_folder / "db", loop, moody(random, loop), jitter=random.random)
        life = Life(rig, await with_integrations(rig, LANES), random)
        await rig.start()
        await life.save(LANES - 1, settings=IntegrationSettings(profile=Profile.STANDARD))
        retention = Retention(
            rig.store, KEEP, lambda *_: None, life.swept, rig.observer.trouble, RETENTION_SECONDS
        )
        sweeping = asyncio.create_task(retention.run())
        for number in range(DAYS):
            await life.day(number)
            if number % CHECKED_EVERY == 0:
                await life.check()
        await life.end()
        await life.check_end()
        life.check_loops()
        assert not sweeping.done()
        sweeping.cancel()
        await rig.close()

    run_virtually(seed, main)
