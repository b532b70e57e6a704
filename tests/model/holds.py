"""What must hold in every state of the store, and what must be seen of it through the port."""

from __future__ import annotations

from random import Random

from ringback.match import Snapshot
from ringback.model import LEGAL_MOVES, DeliveryState
from ringback.statistics import Bucket, widen
from ringback.store.port import Asked, DeliveryFilter
from tests.model import charts
from tests.model.counts import counts_of
from tests.model.world import World

SHOWN_STATES = (*DeliveryState, "held")


def due_lanes_are_found(world: World) -> None:
    due_at = {
        lane: at
        for lane in world.reference.integrations
        if not world.reference.is_held(lane) and (at := world.reference.first_due(lane)) is not None
    }
    found = world.run(world.store.due_lanes(world.clock(), 100))
    assert {lane for lane, at in due_at.items() if at <= world.clock()} <= set(found.due)
    assert not any(world.reference.is_held(lane) for lane in found.due)
    later = [at for lane, at in due_at.items() if lane not in found.due]
    assert not later or (found.next_due is not None and found.next_due <= min(later))


def lists_by_state_have_every_delivery_once(world: World, limit: int) -> None:
    for business_id in world.reference.businesses:
        shown = sorted(
            (row, world.reference.shown_state(row))
            for row, one in world.reference.deliveries.items()
            if one.business_id == business_id
        )
        listed = [(row, state) for state in SHOWN_STATES for row in _walk(world, business_id, state, limit)]
        assert sorted(listed) == shown


def _walk(world: World, business_id: int, state: str, limit: int) -> list[int]:
    """All pages of a list, newest first."""
    rows: list[int] = []
    before: int | None = None
    while True:
        page = world.run(world.store.list_deliveries(business_id, DeliveryFilter(state=state), limit, before))
        rows += [one.delivery_id for one in page.items]
        before = page.next_before
        if before is None:
            assert rows == sorted(rows, reverse=True)
            return rows


def events_are_shown_with_their_deliveries(world: World) -> None:
    for row, event in world.reference.events.items():
        message = event.message
        verb = world.store.get_event(message.business_id, message.event_id)
        shown, deliveries = world.run(verb)
        assert (shown.row_id, shown.data, shown.deliveries) == (row, message.data, event.fanout)
        assert [one.delivery_id for one in deliveries] == [*range(row + 1, row + 1 + event.fanout)]


def the_snapshot_knows_what_is_open(world: World, previous: Snapshot) -> Snapshot:
    snapshot = world.run(world.store.snapshot(previous))
    assert snapshot.version == world.reference.configuration
    lanes = world.reference.integrations
    assert set(snapshot.open) == {lane for lane in lanes if not world.reference.is_held(lane)}
    return snapshot


def deliveries_move_legally(world: World) -> None:
    before = world.before.reference.deliveries
    for row, one in world.reference.deliveries.items():
        if row in before and before[row].state is not one.state:
            assert one.state in LEGAL_MOVES[before[row].state]


def every_event_has_its_deliveries(world: World) -> None:
    owed = {
        row + place: row
        for row, event in world.reference.events.items()
        for place in range(1, event.fanout + 1)
    }
    assert owed == {row: one.event_row for row, one in world.reference.deliveries.items()}


def lanes_are_held_as_they_should_and_never_late(world: World) -> None:
    assert set(world.found.lanes) == set(world.reference.integrations)
    for row, lane in world.found.lanes.items():
        first_due = world.reference.first_due(row)
        assert lane.held == world.reference.is_held(row)
        assert lane.deleted == world.reference.integrations[row].deleted
        assert first_due is None or (lane.due_at is not None and lane.due_at <= first_due)


def rollups_are_what_the_rows_say(world: World) -> None:
    assert world.found.counts == counts_of(world.reference)


def charts_show_what_the_rows_say(world: World, dice: Random) -> None:
    """Some range of the last days, as a whole and of one integration and type."""
    bucket, now = dice.choice([*Bucket]), world.clock()
    since = now - dice.randrange(1, 50 * bucket.ms)
    for business_id in world.reference.businesses:
        lane = dice.choice([None, *world.reference.integrations])
        event_type = dice.choice([None, "call.completed"])
        asked = Asked(range=widen(since, now + 1, bucket), integration_id=lane, event_type=event_type)
        found = world.run(world.store.statistics(business_id, asked))
        assert found == charts.statistics(world.reference, business_id, asked)


def what_waits_is_counted(world: World) -> None:
    for business_id in world.reference.businesses:
        found = world.run(world.store.waiting_now(business_id, world.clock()))
        assert found == charts.waiting_now(world.reference, business_id, world.clock())


def the_queue_is_as_deep_as_the_sums_say(world: World) -> None:
    depth = world.run(world.store.queue_depth(world.clock()))
    assert depth == world.reference.queue_depth(world.clock())


def nodes_know_what_they_lease(world: World) -> None:
    for node in world.alive:
        own = world.run(world.store.own_sending(node))
        assert own == world.reference.leased_to([node])
