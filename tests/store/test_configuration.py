"""Businesses, integrations and keys, and the snapshots that follow their changes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.match import EMPTY, Snapshot
from ringback.model import DeliveryState, IntegrationState, Scope, SecretState
from ringback.store.port import NewBusiness, Store
from tests.builders import NOON, Tenant, a_tenant, api_key, change, integration, secret
from tests.store.conftest import Look

LATER = NOON + 5_000


# ---------------------------------------------------------------- businesses


async def test_a_business_is_read_as_it_was_made(store: Store) -> None:
    made = await store.create_business(NewBusiness(name="Acme", external_id="a-1"), change(at=NOON))
    assert (made.name, made.external_id, made.enabled, made.created_at) == ("Acme", "a-1", True, NOON)
    assert await store.get_business(made.business_id) == made


async def test_business_ids_are_small_and_never_given_out_again(store: Store) -> None:
    first = await store.create_business(NewBusiness(name="A"), change())
    await store.delete_business(first.business_id, change())
    second = await store.create_business(NewBusiness(name="B"), change())
    assert (first.business_id, second.business_id) == (1, 2)


async def test_an_external_id_is_one_business_s_until_it_is_deleted(store: Store) -> None:
    first = await store.create_business(NewBusiness(name="A", external_id="x"), change())
    other = await store.create_business(NewBusiness(name="B"), change())
    with pytest.raises(Conflict):
        await store.create_business(NewBusiness(name="C", external_id="x"), change())
    with pytest.raises(Conflict):
        await store.save_business(replace(other, external_id="x"), change())
    await store.save_business(replace(first, name="A2"), change())
    await store.delete_business(first.business_id, change())
    assert (await store.save_business(replace(other, external_id="x"), change())).external_id == "x"


async def test_a_deleted_business_and_all_of_its_own_are_not_there(store: Store, acme: Tenant) -> None:
    await store.delete_business(acme.id, change())
    for missing in (
        store.get_business(acme.id),
        store.save_business(acme.business, change()),
        store.delete_business(acme.id, change()),
        store.get_integration(acme.id, acme.lane),
        store.create_integration(integration(acme.id, 77), change()),
    ):
        with pytest.raises(NotFound):
            await missing
    assert (await store.list_businesses(10, None)).items == ()
    assert (await store.list_integrations(acme.id, 10, None)).items == ()


async def test_businesses_are_listed_newest_first_page_by_page(store: Store) -> None:
    for number in range(5):
        await store.create_business(NewBusiness(name=f"B{number}"), change())
    first = await store.list_businesses(3, None)
    second = await store.list_businesses(3, first.next_before)
    assert [one.business_id for one in (*first.items, *second.items)] == [5, 4, 3, 2, 1]
    assert second.next_before is None


# ---------------------------------------------------------------- integrations


async def test_an_integration_is_read_as_it_was_made(store: Store, acme: Tenant) -> None:
    secrets = (secret(1), secret(2, SecretState.OUTGOING))
    made = integration(acme.id, 9, secrets=secrets, sealed_headers=b"\x01", events=("call.*", "agent.left"))
    assert await store.create_integration(made, change()) == made
    assert await store.get_integration(acme.id, made.integration_id) == made


async def test_saving_writes_over_the_version_that_was_read(store: Store, acme: Tenant) -> None:
    read = acme.integrations[0]
    changed = replace(read, friendly_name="New name", secrets=(secret(5),), sealed_headers=b"\x02")
    saved = await store.save_integration(changed, change(at=LATER))
    assert saved == replace(changed, version=read.version + 1, updated_at=LATER)
    assert await store.get_integration(acme.id, acme.lane) == saved
    with pytest.raises(Conflict):
        await store.save_integration(replace(read, friendly_name="Lost update"), change())
    assert (await store.get_integration(acme.id, acme.lane)).friendly_name == "New name"


async def test_another_business_s_integration_is_not_there(store: Store, acme: Tenant) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    for missing in (
        store.get_integration(other.id, acme.lane),
        store.delete_integration(other.id, acme.lane, change()),
        store.save_integration(replace(acme.integrations[0], business_id=other.id), change()),
    ):
        with pytest.raises(NotFound):
            await missing


async def test_a_deleted_integration_leaves_no_secret_behind(store: Store, acme: Tenant, look: Look) -> None:
    await store.delete_integration(acme.id, acme.lane, change())
    with pytest.raises(NotFound):
        await store.get_integration(acme.id, acme.lane)
    assert look("SELECT * FROM secrets WHERE integration_id = ?", acme.lane) == []
    assert [one.integration_id for one in (await store.list_integrations(acme.id, 9, None)).items] == [
        acme.lanes[1]
    ]


async def test_history_says_what_was_wanted_from_which_acceptance_on(
    store: Store, acme: Tenant, look: Look
) -> None:
    (before,) = await acme.accept(acme.new())
    saved = await store.save_integration(replace(acme.integrations[0], events=("call.*",)), change())
    await acme.refresh()
    (between,) = await acme.accept(acme.new())
    await store.save_integration(replace(saved, state=IntegrationState.PAUSED), change())
    await store.delete_integration(acme.id, acme.lane, change())
    await acme.refresh()
    (after,) = await acme.accept(acme.new())
    rows = look(
        "SELECT since_id, events, state, deleted FROM integration_history WHERE integration_id = ?"
        " ORDER BY since_id",
        acme.lane,
    )
    assert [row[1:] for row in rows] == [
        ('["*"]', "active", 0),
        ('["call.*"]', "active", 0),
        ('["call.*"]', "paused", 0),
        ('["call.*"]', "paused", 1),
    ]
    since = [row[0] for row in rows]
    assert since[0] < before.row_id < since[1] < between.row_id < since[2] < since[3] < after.row_id


# ---------------------------------------------------------------- keys


async def test_keys_are_made_listed_and_revoked(store: Store) -> None:
    keys = [api_key(n, scopes=frozenset({Scope.READ, Scope.MANAGE})) for n in (1, 2, 3)]
    for key in keys:
        await store.create_key(key, change())
    with pytest.raises(Conflict):
        await store.create_key(api_key(4, digest=keys[0].digest), change())
    first = await store.list_keys(2, None)
    second = await store.list_keys(2, first.next_before)
    assert [*first.items, *second.items] == keys[::-1]
    await store.revoke_key(keys[1].key_id, change())
    with pytest.raises(NotFound):
        await store.revoke_key(keys[1].key_id, change())
    assert (await store.list_keys(9, None)).items == (keys[2], keys[0])


# ---------------------------------------------------------------- snapshots


async def test_a_snapshot_is_the_same_until_something_changes(store: Store, acme: Tenant) -> None:
    snapshot = await store.snapshot(EMPTY)
    await acme.waiting()
    assert await store.snapshot(snapshot) is snapshot


async def test_a_snapshot_shares_what_has_not_changed(store: Store, acme: Tenant) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await store.create_key(api_key(1), change())
    old = await store.snapshot(EMPTY)
    saved = await store.save_integration(replace(acme.integrations[0], url="https://new.example"), change())
    new = await store.snapshot(old)
    assert new.version > old.version
    assert new.integrations[acme.lane] == saved
    assert new.businesses[other.id] is old.businesses[other.id]
    assert new.keys is old.keys
    await store.revoke_key(api_key(1).key_id, change())
    assert (await store.snapshot(new)).keys == {}
    assert old.keys == {api_key(1).digest: api_key(1)}


async def test_a_snapshot_has_neither_deleted_businesses_nor_deleted_integrations(
    store: Store, acme: Tenant
) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    old = await store.snapshot(EMPTY)
    await store.delete_business(other.id, change())
    await store.delete_integration(acme.id, acme.lane, change())
    for previous in (old, EMPTY):
        new = await store.snapshot(previous)
        assert set(new.businesses) == {acme.id}
        assert set(new.integrations) == {acme.lanes[1]}


async def test_a_snapshot_of_a_database_that_was_put_back_is_loaded_whole(store: Store, acme: Tenant) -> None:
    newest = await store.snapshot(EMPTY)
    from_the_future = Snapshot(newest.version + 1_000, {}, {})
    assert set((await store.snapshot(from_the_future)).businesses) == {acme.id}


# ---------------------------------------------------------------- the audit log


async def test_every_change_is_written_down_with_who_made_it(store: Store, acme: Tenant, look: Look) -> None:
    look("DELETE FROM audit")
    waiting, dead = await acme.waiting(), await acme.in_state(DeliveryState.DEAD)
    changes = {
        "business.update": store.save_business(acme.business, change("business.update")),
        "integration.create": store.create_integration(integration(acme.id, 9), change("integration.create")),
        "delivery.retry": store.retry_delivery(acme.id, dead, change("delivery.retry")),
        "delivery.cancel": store.cancel_delivery(acme.id, waiting, change("delivery.cancel")),
        "integration.delete": store.delete_integration(acme.id, acme.lane, change("integration.delete")),
        "key.create": store.create_key(api_key(1), change("key.create")),
        "business.delete": store.delete_business(acme.id, change("business.delete")),
    }
    for verb in changes.values():
        await verb
    rows = look("SELECT action, actor, at, object, business_id FROM audit ORDER BY id")
    assert [row[0] for row in rows] == list(changes)
    assert {row[1:3] for row in rows} == {("key:test", NOON)}
    assert [row[3] for row in rows] == [
        f"business {acme.id}",
        ids.public("intg", integration(acme.id, 9).integration_id),
        ids.public("dlv", dead),
        ids.public("dlv", waiting),
        ids.public("intg", acme.lane),
        ids.public("key", api_key(1).key_id),
        f"business {acme.id}",
    ]
    assert [row[4] for row in rows] == [*[acme.id] * 5, None, acme.id]
