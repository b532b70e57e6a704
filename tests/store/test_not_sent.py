"""Why integrations got nothing of an event: always what was true when it was accepted."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from ringback.match import EMPTY, WhyNot, wants
from ringback.model import IntegrationState
from ringback.store.port import EventRow, NewBusiness, Store
from ringback.store.sqlite.not_sent import MOST_LOOKED_AT
from tests.builders import Clock, Tenant, a_tenant, change, dead, integration, leased_of, queued

TYPES = ("call.completed", "call.failed", "agent.left")
SUBSCRIPTIONS = (("*",), ("call.*",), ("agent.left",), ("call.failed", "agent.*"), ("call.completed",))


async def row_of(acme: Tenant, event_id: str) -> EventRow:
    return (await acme.store.get_event(acme.id, event_id))[0]


async def reasons(acme: Tenant, event_id: str) -> dict[int, WhyNot]:
    told = await acme.store.not_sent(await row_of(acme, event_id))
    assert [one.integration_id for one in told] == sorted((one.integration_id for one in told), reverse=True)
    return {one.integration_id: one.reason for one in told}


class History:
    """Random changes and publishes, and what a plain memory of them says."""

    def __init__(self, acme: Tenant, dice: Random) -> None:
        self.acme = acme
        self.dice = dice
        self.wanted: dict[int, tuple[str, ...] | None] = dict.fromkeys(acme.lanes, ("*",))
        self.events: list[tuple[str, str, dict[int, tuple[str, ...] | None]]] = []

    async def go_on(self) -> None:
        self.acme.clock.now += self.dice.choice([0, 0, 1, 900, -500])
        steps = [self._publish] * 4 + [self._create, self._subscribe, self._pause, self._delete]
        await self.dice.choice(steps)()
        await self.acme.refresh()

    async def _publish(self) -> None:
        view = (await self.acme.store.snapshot(EMPTY)).businesses[self.acme.id]
        event_type = self.dice.choice(TYPES)
        targets = [queued(one.integration_id) for one in view.match(event_type)]
        new = self.acme.new(*targets, event_type=event_type)
        await self.acme.accept(new)
        self.events.append((new.message.event_id, event_type, dict(self.wanted)))

    async def _create(self) -> None:
        made = integration(self.acme.id, 5_000 + len(self.wanted), events=self.dice.choice(SUBSCRIPTIONS))
        await self.acme.store.create_integration(made, change(at=self.acme.clock()))
        self.wanted[made.integration_id] = made.events

    async def _subscribe(self) -> None:
        events = self.dice.choice(SUBSCRIPTIONS)
        lane = await self._save(events=events)
        if lane is not None:
            self.wanted[lane] = events

    async def _pause(self) -> None:
        await self._save(state=self.dice.choice(list(IntegrationState)))

    async def _delete(self) -> None:
        lane = self._some()
        if lane is not None:
            await self.acme.store.delete_integration(self.acme.id, lane, change(at=self.acme.clock()))
            self.wanted[lane] = None

    async def _save(self, **fields: object) -> int | None:
        lane = self._some()
        if lane is not None:
            read = await self.acme.store.get_integration(self.acme.id, lane)
            await self.acme.store.save_integration(replace(read, **fields), change(at=self.acme.clock()))
        return lane

    def _some(self) -> int | None:
        there = [lane for lane, wanted in self.wanted.items() if wanted is not None]
        return self.dice.choice(there) if there else None

    def expected(self, event_type: str, then: dict[int, tuple[str, ...] | None]) -> dict[int, WhyNot]:
        found = {}
        for lane in self.wanted:
            events = then.get(lane)
            if lane not in then:
                found[lane] = WhyNot.CREATED_LATER
            elif events is None:
                found[lane] = WhyNot.DELETED
            elif not wants(events, event_type):
                found[lane] = WhyNot.NOT_SUBSCRIBED
        return found


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_was_changed_before_and_after_the_reasons_are_those_of_the_moment(
    store: Store, acme: Tenant, seed: int
) -> None:
    history = History(acme, Random(seed))
    for _ in range(80):
        await history.go_on()
    assert history.events
    for event_id, event_type, then in history.events:
        _, deliveries = await store.get_event(acme.id, event_id)
        told = await reasons(acme, event_id)
        assert told == history.expected(event_type, then)
        assert {row.integration_id for row in deliveries} == set(history.wanted) - set(told)


async def test_of_a_test_all_others_are_told_to_be_out_of_it(store: Store, acme: Tenant) -> None:
    later = integration(acme.id, 9_000)
    now = acme.clock()
    new = acme.new(queued(acme.lane))
    (accepted,) = await acme.accept(new)
    result = dead(leased_of(new, accepted, now), now)
    message = replace(new.message, event_id="evt_test")
    await store.record_test(message, result, now)
    await store.create_integration(later, change())

    assert await reasons(acme, "evt_test") == dict.fromkeys(
        (acme.lanes[1], later.integration_id), WhyNot.TEST_ONLY
    )


async def test_one_that_is_paused_or_disabled_got_its_delivery(acme: Tenant) -> None:
    await acme.set_state(IntegrationState.PAUSED, 0)
    await acme.set_state(IntegrationState.DISABLED, 1)
    new = acme.new(*(queued(lane) for lane in acme.lanes))
    await acme.accept(new)
    assert await reasons(acme, new.message.event_id) == {}


async def test_another_business_integrations_are_not_among_them(store: Store, acme: Tenant) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await acme.refresh()
    new = acme.new()
    await acme.accept(new)
    told = {one.integration_id for one in await store.not_sent(await row_of(acme, new.message.event_id))}
    assert not told & set(other.lanes)


async def test_of_very_many_the_newest_are_told(store: Store, clock: Clock) -> None:
    business = await store.create_business(NewBusiness(name="Large"), change())
    made = [
        integration(business.business_id, number, events=("agent.left",))
        for number in range(MOST_LOOKED_AT + 5)
    ]
    for one in made:
        await store.create_integration(one, change())
    large = Tenant(store, await store.join(clock()), business, made, clock)
    await large.refresh()
    new = large.new()
    await large.accept(new)

    told = await store.not_sent(await row_of(large, new.message.event_id))

    assert [one.integration_id for one in told] == sorted(large.lanes, reverse=True)[:MOST_LOOKED_AT]
    assert {one.reason for one in told} == {WhyNot.NOT_SUBSCRIBED}
