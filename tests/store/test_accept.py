"""Transaction 1: what is accepted, once, entirely or not at all."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from ringback.errors import NotFound, Poisoned, StaleSnapshot
from ringback.store.port import Accepted, EventFilter, Publish, Store
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, change, direct, event, queued


async def test_an_event_is_stored_as_published_with_a_delivery_for_each_target(
    store: Store, acme: Tenant
) -> None:
    new = acme.new(direct(acme.lanes[0]), queued(acme.lanes[1]), event_id="evt_a")
    (accepted,) = await acme.accept(new)
    row, deliveries = await store.get_event(acme.id, "evt_a")
    assert accepted == Accepted(row_id=row.row_id, deliveries=2, duplicate=False)
    assert (row.data, row.timestamp, row.accepted_at, row.test) == (new.message.data, NOON, NOON, False)
    assert [one.delivery_id for one in deliveries] == [row.row_id + 1, row.row_id + 2]
    assert [one.integration_id for one in deliveries] == acme.lanes
    assert [one.state for one in deliveries] == ["sending", "queued"]
    assert {one.due_at for one in deliveries} == {NOON}


async def test_an_event_for_nobody_is_stored_all_the_same(store: Store, acme: Tenant) -> None:
    await acme.accept(acme.new(event_id="evt_a"))
    row, deliveries = await store.get_event(acme.id, "evt_a")
    assert (row.deliveries, deliveries) == (0, ())


async def test_a_known_event_id_is_a_duplicate_of_the_first_even_with_other_content(
    store: Store, acme: Tenant
) -> None:
    (first,) = await acme.accept(acme.new(direct(acme.lane), event_id="evt_a"))
    (again,) = await acme.accept(acme.new(event_id="evt_a", data=b"{}"))
    assert again == Accepted(row_id=first.row_id, deliveries=1, duplicate=True)
    row, _ = await store.get_event(acme.id, "evt_a")
    assert row.data != b"{}"


async def test_the_same_event_id_twice_in_one_publish_and_across_publishes_of_a_batch(acme: Tenant) -> None:
    first, second, third = (acme.new(queued(acme.lane), event_id="evt_a") for _ in range(3))
    one, other = await acme.accept_all((first, second), (third,))
    assert [answer.duplicate for answer in (*one, *other)] == [False, True, True]
    assert len({answer.row_id for answer in (*one, *other)}) == 1


async def test_an_event_id_belongs_to_its_business(acme: Tenant) -> None:
    (first,) = await acme.accept(acme.new(event_id="evt_a"))
    (other,) = await acme.accept(event("evt_a", business_id=acme.id + 1))
    assert not other.duplicate
    assert other.row_id != first.row_id


async def test_publishes_at_the_same_instant_are_accepted_once(acme: Tenant) -> None:
    same = [acme.new(queued(acme.lane), event_id="evt_a") for _ in range(8)]
    answers = await asyncio.gather(*(acme.accept(one) for one in same))
    assert [answer.duplicate for (answer,) in answers].count(False) == 1
    assert len({answer.row_id for (answer,) in answers}) == 1


async def test_a_duplicate_is_known_after_a_restart(database: Path, clock: Clock, acme: Tenant) -> None:
    (first,) = await acme.accept(acme.new(event_id="evt_a"))
    await acme.store.close()
    acme.store = await SqliteStore.open(database, clock=clock)
    (again,) = await acme.accept(acme.new(event_id="evt_a"))
    await acme.store.close()
    assert again == Accepted(row_id=first.row_id, deliveries=0, duplicate=True)


async def test_ids_grow_with_every_commit_even_when_the_clock_is_set_back(acme: Tenant) -> None:
    clock = acme.clock
    found = []
    for step in (0, 5, -3_600_000, 1, 0):
        clock.pass_ms(step)
        (accepted,) = await acme.accept(acme.new(direct(acme.lane), direct(acme.lanes[1])))
        found.append(accepted.row_id)
    assert all(later > earlier + 2 for earlier, later in pairwise(found))


async def test_what_was_matched_on_an_older_configuration_is_not_written(store: Store, acme: Tenant) -> None:
    await store.save_business(acme.business, change())
    with pytest.raises(StaleSnapshot):
        await acme.accept(acme.new(event_id="evt_a"))
    with pytest.raises(NotFound):
        await store.get_event(acme.id, "evt_a")
    await acme.refresh()
    await acme.accept(acme.new(event_id="evt_a"))


@pytest.mark.parametrize("poison", ["lone surrogate \ud800", 1 << 70, b"bytes in a text column"])
async def test_a_publish_whose_data_breaks_the_commit_is_refused_and_the_rest_committed(
    store: Store, acme: Tenant, poison: object
) -> None:
    publishes: list[Publish] = [(acme.new(queued(acme.lane)),) for _ in range(9)]
    publishes[4] = (acme.new(event_id="evt_in_the_same_publish"), acme.new(event_type=poison))
    answers = await acme.accept_all(*publishes)
    assert [place for place, answer in enumerate(answers) if isinstance(answer, Poisoned)] == [4]
    page = await store.list_events(acme.id, EventFilter(), 50, None)
    assert {one.row_id for one in page.items} == {
        answer[0].row_id for answer in answers if isinstance(answer, list)
    }
    assert len(page.items) == 8


async def test_of_a_publish_that_fails_half_way_nothing_stays(store: Store, acme: Tenant) -> None:
    publishes: list[Publish] = [(acme.new(queued(acme.lane), event_id=f"evt_{n}"),) for n in range(4)]
    publishes[1] = (acme.new(queued(1 << 70), event_id="evt_bad"),)
    answers = await acme.accept_all(*publishes)
    assert [isinstance(answer, Poisoned) for answer in answers] == [False, True, False, False]
    with pytest.raises(NotFound):
        await store.get_event(acme.id, "evt_bad")
    assert (await store.queue_depth(acme.clock())).queued == 3


async def test_a_duplicate_of_a_poisoned_event_is_accepted_as_the_first(acme: Tenant) -> None:
    bad = acme.new(event_id="evt_a", event_type="\ud800")
    good = acme.new(event_id="evt_a")
    first, second = await acme.accept_all((bad,), (good,))
    assert isinstance(first, Poisoned)
    assert not second[0].duplicate


async def test_a_generated_event_id_that_exists_after_all_is_poison_and_never_a_second_event(
    acme: Tenant,
) -> None:
    await acme.accept(acme.new(event_id="evt_a"))
    (answer,) = await acme.accept_all((acme.new(event_id="evt_a", generated=True),))
    assert isinstance(answer, Poisoned)


async def test_a_batch_of_thousands_is_one_commit(store: Store, acme: Tenant) -> None:
    publishes = [tuple(acme.new(queued(acme.lane)) for _ in range(500)) for _ in range(5)]
    answers = await acme.accept_all(*publishes)
    assert len({one.row_id for answer in answers for one in answer}) == 2_500
    assert (await store.queue_depth(acme.clock())).queued == 2_500
