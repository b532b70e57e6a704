"""A business' own event types, and how snapshots follow them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringback.catalog import BUILT_IN, MAX_OWN_BYTES, MAX_OWN_TYPES, EventType, own_type
from ringback.errors import Conflict, NotFound
from ringback.match import EMPTY, BusinessView
from ringback.store.port import Store
from tests.builders import Tenant, a_tenant, change
from tests.store.conftest import Look

ORDER = own_type(
    "order.paid", "Paid.", {"required": ["Id"], "properties": {"Id": {"type": "string"}}}, {"Id": "ö1"}
)


async def view(acme: Tenant) -> BusinessView:
    return (await acme.store.snapshot(EMPTY)).businesses[acme.id]


def plain(event_type: EventType) -> tuple[object, ...]:
    """Its fields: what it has compiled is apart from them."""
    return tuple(getattr(event_type, name) for name in event_type.__struct_fields__)


async def test_a_type_is_in_the_snapshot_as_it_was_saved(store: Store, acme: Tenant) -> None:
    await store.save_event_type(acme.id, ORDER, change())
    found = await view(acme)
    assert plain(found.types["order.paid"]) == plain(ORDER)
    assert set(found.types) == {*BUILT_IN, "order.paid"}
    assert found.types["order.paid"].problems({}) == "Id is missing"


async def test_saving_replaces_and_deleting_takes_away(store: Store, acme: Tenant) -> None:
    await store.save_event_type(acme.id, ORDER, change())
    await store.save_event_type(acme.id, replace(ORDER, description="Late.", deprecated=True), change())
    saved = (await view(acme)).types["order.paid"]
    assert (saved.description, saved.deprecated) == ("Late.", True)
    await store.delete_event_type(acme.id, "order.paid", change())
    assert (await view(acme)).types == BUILT_IN
    await store.save_event_type(acme.id, ORDER, change())
    assert (await view(acme)).types["order.paid"].description == "Paid."


async def test_what_has_not_changed_is_shared_with_the_snapshot_before(store: Store, acme: Tenant) -> None:
    other = replace(ORDER, name="order.shipped")
    for one in (ORDER, other):
        await store.save_event_type(acme.id, one, change())
    before = await store.snapshot(EMPTY)
    await store.save_event_type(acme.id, replace(other, description="Late."), change())
    after = await store.snapshot(before)
    types, known = after.businesses[acme.id].types, before.businesses[acme.id].types
    assert types["order.paid"] is known["order.paid"]
    assert types["order.shipped"].description == "Late."

    await store.delete_event_type(acme.id, "order.paid", change())
    await store.save_event_type(acme.id, replace(ORDER, description="Again."), change())
    again = (await store.snapshot(after)).businesses[acme.id].types
    assert again["order.paid"].description == "Again."
    assert again["order.shipped"] is types["order.shipped"]


async def test_another_business_has_its_own(store: Store, acme: Tenant) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await store.save_event_type(acme.id, ORDER, change())
    assert (await view(other)).types == BUILT_IN
    with pytest.raises(NotFound):
        await store.delete_event_type(other.id, "order.paid", change())
    await store.save_event_type(other.id, replace(ORDER, description="Theirs."), change())
    assert (await view(acme)).types["order.paid"].description == "Paid."


async def test_what_is_not_there_is_not_found(store: Store, acme: Tenant) -> None:
    for missing in (
        store.delete_event_type(acme.id, "order.paid", change()),
        store.delete_event_type(99, "order.paid", change()),
        store.save_event_type(99, ORDER, change()),
    ):
        with pytest.raises(NotFound):
            await missing


async def test_a_business_may_have_so_many_and_no_more(store: Store, acme: Tenant) -> None:
    for number in range(MAX_OWN_TYPES):
        await store.save_event_type(acme.id, replace(ORDER, name=f"order.n{number}"), change())
    with pytest.raises(Conflict, match="500"):
        await store.save_event_type(acme.id, ORDER, change())
    await store.save_event_type(acme.id, replace(ORDER, name="order.n7"), change())
    await store.delete_event_type(acme.id, "order.n7", change())
    await store.save_event_type(acme.id, ORDER, change())


async def test_a_business_may_have_so_many_bytes_and_no_more(store: Store, acme: Tenant) -> None:
    large = replace(ORDER, example={"Id": "x" * 60_000})
    fitting = MAX_OWN_BYTES // 60_100
    for number in range(fitting):
        await store.save_event_type(acme.id, replace(large, name=f"order.n{number}"), change())
    with pytest.raises(Conflict, match="bytes together"):
        await store.save_event_type(acme.id, large, change())
    await store.save_event_type(acme.id, replace(large, name="order.n1", example={"Id": "y"}), change())
    await store.save_event_type(acme.id, large, change())


async def test_a_deleted_business_takes_its_types_along(store: Store, acme: Tenant, look: Look) -> None:
    await store.save_event_type(acme.id, ORDER, change())
    await store.delete_business(acme.id, change())
    assert look("SELECT * FROM event_types") == []


async def test_each_change_is_audited_and_makes_matched_batches_stale(
    store: Store, acme: Tenant, look: Look
) -> None:
    before = (await store.snapshot(EMPTY)).version
    await store.save_event_type(acme.id, ORDER, change("event_type.save"))
    await store.delete_event_type(acme.id, "order.paid", change("event_type.delete"))
    assert (await store.snapshot(EMPTY)).version == before + 2
    assert look("SELECT action, object, business_id FROM audit ORDER BY id DESC LIMIT 2") == [
        ("event_type.delete", "order.paid", acme.id),
        ("event_type.save", "order.paid", acme.id),
    ]
