"""Every move of a delivery's state: the legal ones happen, the others change nothing."""

from __future__ import annotations

import pytest

from ringback.errors import Conflict, NotFound, Refused
from ringback.model import LEGAL_MOVES, Decision, DeliveryState
from ringback.store.port import Store
from tests.builders import Tenant, change, result
from tests.store.conftest import Look

S = DeliveryState


async def attempt(acme: Tenant, delivery_id: int, ends: DeliveryState) -> None:
    """An attempt by whoever holds the delivery; nothing where nobody does."""
    if delivery_id not in await acme.store.own_sending(acme.node):
        return
    await acme.store.release([delivery_id], acme.node)
    leased = next(one for one in await acme.claim() if one.delivery_id == delivery_id)
    waits = ends in (S.RETRYING, S.QUEUED)
    decision = Decision(state=ends, due_at=acme.clock() + 1_000 if waits else None)
    await acme.record(result(leased, acme.clock(), decision, None, status=200))


async def move(acme: Tenant, delivery_id: int, target: DeliveryState) -> None:
    """Try everything that could bring the delivery to the state."""
    acme.clock.pass_ms(100_000)
    at = change(at=acme.clock())
    if target is S.SENDING:
        await acme.claim()
    elif target is S.QUEUED and delivery_id not in await acme.store.own_sending(acme.node):
        await acme.store.retry_delivery(acme.id, delivery_id, at)
    elif target is S.QUEUED:
        await acme.store.release([delivery_id], acme.node)
    elif target is S.CANCELLED and delivery_id not in await acme.store.own_sending(acme.node):
        await acme.store.cancel_delivery(acme.id, delivery_id, at)
    else:
        await attempt(acme, delivery_id, target)


# Retention makes `dead` of what is held too long; that verb comes with it.
LATER = {(S.QUEUED, S.DEAD), (S.RETRYING, S.DEAD)}
PAIRS = [(start, end) for start in S for end in S if start is not end and (start, end) not in LATER]


@pytest.mark.parametrize(("start", "end"), PAIRS)
async def test_a_move_happens_where_it_is_legal_and_nowhere_else(
    acme: Tenant, start: DeliveryState, end: DeliveryState
) -> None:
    delivery_id = await acme.in_state(start)
    before = await acme.delivery(delivery_id)
    assert before.state == start
    legal = end in LEGAL_MOVES[start]
    try:
        await move(acme, delivery_id, end)
    except Refused:
        assert not legal
    after = await acme.delivery(delivery_id)
    assert after.state == (end if legal else start)
    if not legal:
        assert after == before


async def test_an_attempt_cannot_end_as_sending(acme: Tenant) -> None:
    leased = await acme.sending()
    decision = Decision(state=S.SENDING, due_at=acme.clock())
    await acme.record(result(leased, acme.clock(), decision, None, status=200))
    assert await acme.state(leased.delivery_id) == "dead"


@pytest.mark.parametrize("verb", ["retry_delivery", "cancel_delivery"])
async def test_another_business_s_delivery_is_not_there(store: Store, acme: Tenant, verb: str) -> None:
    delivery_id = await acme.in_state(S.RETRYING)
    with pytest.raises(NotFound):
        await getattr(store, verb)(acme.id + 1, delivery_id, change())
    with pytest.raises(NotFound):
        await getattr(store, verb)(acme.id, delivery_id + 1_000, change())
    assert await acme.state(delivery_id) == "retrying"


@pytest.mark.parametrize("state", [S.DEAD, S.RETRYING])
async def test_nothing_is_retried_or_cancelled_for_a_deleted_integration(
    store: Store, acme: Tenant, state: DeliveryState
) -> None:
    delivery_id = await acme.in_state(state)
    await store.delete_integration(acme.id, acme.lane, change())
    with pytest.raises(Conflict):
        await store.retry_delivery(acme.id, delivery_id, change())
    with pytest.raises(Conflict):
        await store.cancel_delivery(acme.id, delivery_id, change())


async def test_a_delivery_whose_payload_is_past_retention_is_not_retried(
    store: Store, acme: Tenant, look: Look
) -> None:
    delivery_id = await acme.in_state(S.DEAD)
    look("UPDATE events SET data = NULL")
    with pytest.raises(Conflict, match="retention"):
        await store.retry_delivery(acme.id, delivery_id, change())


async def test_a_cancelled_delivery_is_claimed_no_more(store: Store, acme: Tenant) -> None:
    delivery_id = await acme.waiting()
    row = await store.cancel_delivery(acme.id, delivery_id, change(at=acme.clock() + 5))
    assert (row.state, row.due_at, row.finished_at) == ("cancelled", None, acme.clock() + 5)
    claimed = await store.claim({acme.lane: 5}, acme.node, acme.clock())
    assert (claimed.leased, claimed.next_due) == ((), {acme.lane: None})
