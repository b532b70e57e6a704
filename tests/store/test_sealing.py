"""Sealed values: shown, expired and sealed anew, each time only as it was asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.match import EMPTY
from ringback.model import Integration, Secret, SecretState
from ringback.store.port import Resealed, Sealed, Store
from tests.builders import NOON, Tenant, a_tenant, change, secret
from tests.store.conftest import Look

AUDITED = "SELECT actor, action, object, detail, business_id FROM audit ORDER BY id DESC LIMIT ?"
KEY_ID = b"\x0a\x0b\x0c\x0d"


def sealed_with(key_id: bytes, content: bytes) -> bytes:
    return b"\x01" + key_id + content


async def with_secrets(tenant: Tenant, *secrets: Secret, place: int = 0) -> Integration:
    read = await tenant.store.get_integration(tenant.id, tenant.lanes[place])
    changed = replace(read, secrets=secrets)
    # An outgoing secret was a current one before.
    first = replace(changed, secrets=tuple(replace(one, state=SecretState.CURRENT) for one in secrets))
    stored = await tenant.store.save_integration(first, change())
    return await tenant.store.save_integration(replace(changed, version=stored.version), change())


def outgoing(secret_id: int, expires_at: int) -> Secret:
    return replace(secret(secret_id, SecretState.OUTGOING), expires_at=expires_at)


# ---------------------------------------------------------------- reveal


async def test_what_is_revealed_is_written_down(store: Store, acme: Tenant, look: Look) -> None:
    shown = await store.reveal_secrets(acme.id, acme.lane, change("secret.reveal", at=NOON + 1))

    assert shown == acme.integrations[0].secrets
    public = ids.public(ids.INTEGRATION, acme.lane)
    assert look(AUDITED, 1) == [("key:test", "secret.reveal", public, None, acme.id)]


async def test_nothing_is_written_down_where_nothing_is_revealed(
    store: Store, acme: Tenant, look: Look
) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await with_secrets(acme)
    before = look(AUDITED, 100)

    with pytest.raises(Conflict):
        await store.reveal_secrets(acme.id, acme.lane, change())
    with pytest.raises(NotFound):
        await store.reveal_secrets(other.id, acme.lane, change())

    assert look(AUDITED, 100) == before


# ---------------------------------------------------------------- the end of an overlap


async def test_secrets_go_when_their_time_is_over(store: Store, acme: Tenant, look: Look) -> None:
    await with_secrets(acme, secret(1), outgoing(2, NOON + 10))
    await with_secrets(acme, secret(3), outgoing(4, NOON + 11), place=1)
    await acme.refresh()
    snapshot = await store.snapshot(EMPTY)
    sweep = replace(change("secret.expire", at=NOON + 10), actor="system")

    assert await store.expire_secrets(10, sweep) == 1
    assert await store.expire_secrets(10, sweep) == 0

    assert [one.secret_id for one in (await store.get_integration(acme.id, acme.lanes[0])).secrets] == [1]
    assert [one.secret_id for one in (await store.get_integration(acme.id, acme.lanes[1])).secrets] == [3, 4]
    public = ids.public(ids.INTEGRATION, acme.lane), ids.public(ids.SECRET, 2)
    assert look(AUDITED, 1) == [("system", "secret.expire", *public, acme.id)]
    assert await store.snapshot(snapshot) is snapshot


async def test_a_sweep_takes_so_many_and_no_more(store: Store, acme: Tenant) -> None:
    await with_secrets(acme, secret(1), *(outgoing(number, NOON + number) for number in range(2, 7)))

    assert [await store.expire_secrets(2, change(at=NOON + 100)) for _ in range(4)] == [2, 2, 1, 0]


async def test_the_expired_are_found_by_their_time_alone(look: Look, acme: Tenant) -> None:
    plan = look(
        "EXPLAIN QUERY PLAN SELECT 1 FROM secrets INDEXED BY secrets_expiring"
        " WHERE expires_at <= ? AND state = 'outgoing' LIMIT 1",
        NOON,
    )

    assert acme.lane
    assert ["secrets_expiring" in row[3] for row in plan] == [True]


# ---------------------------------------------------------------- sealed anew


async def test_what_is_as_it_was_is_sealed_anew_and_noticed(store: Store, acme: Tenant, look: Look) -> None:
    stored = await with_secrets(acme, replace(secret(1), sealed=b"old"))
    headed = await store.save_integration(replace(stored, sealed_headers=b"old headers"), change())
    before = await store.snapshot(EMPTY)

    values = [
        Resealed(kind=Sealed.SECRET, row_id=1, before=b"old", after=sealed_with(KEY_ID, b"new")),
        Resealed(
            kind=Sealed.HEADERS,
            row_id=acme.lane,
            before=b"old headers",
            after=sealed_with(KEY_ID, b"new headers"),
        ),
    ]
    assert await store.reseal(values, change("master_key.reseal")) == 2

    now = await store.get_integration(acme.id, acme.lane)
    assert now.secrets[0].sealed == sealed_with(KEY_ID, b"new")
    assert now.sealed_headers == sealed_with(KEY_ID, b"new headers")
    assert (now.version, now.updated_at) == (headed.version, headed.updated_at)
    after = await store.snapshot(before)
    assert after.integrations[acme.lane] == now
    assert look(AUDITED, 1) == [("key:test", "master_key.reseal", "master key 0a0b0c0d", "2 values", None)]


async def test_what_was_replaced_meanwhile_stays_as_it_is(store: Store, acme: Tenant) -> None:
    await with_secrets(acme, replace(secret(1), sealed=b"newest"))

    stale = [
        Resealed(kind=Sealed.SECRET, row_id=1, before=b"old", after=sealed_with(KEY_ID, b"x")),
        Resealed(kind=Sealed.SECRET, row_id=999, before=b"old", after=sealed_with(KEY_ID, b"x")),
        Resealed(kind=Sealed.HEADERS, row_id=acme.lane, before=b"old", after=sealed_with(KEY_ID, b"x")),
    ]
    assert await store.reseal(stale, change()) == 0

    now = await store.get_integration(acme.id, acme.lane)
    assert (now.secrets[0].sealed, now.sealed_headers) == (b"newest", None)


async def test_a_retired_key_may_come_back(store: Store, acme: Tenant) -> None:
    await store.leave(acme.node)
    other = b"\x00\x00\x00\x01"
    for sealing, retired in ((KEY_ID, other), (other, KEY_ID)):
        await store.retire_keys(sealing, [retired], change())
        one = replace(secret(7), sealed=sealed_with(retired, b"written anew"))
        with pytest.raises(Conflict):
            await with_secrets(acme, one)
        await with_secrets(acme, replace(one, sealed=sealed_with(sealing, b"content")))


async def test_no_key_is_retired_while_a_living_node_may_seal_with_it(store: Store, acme: Tenant) -> None:
    with pytest.raises(Conflict, match="node 1"):
        await store.retire_keys(KEY_ID, [], change())
    await store.announce_keys(acme.node, [b"\x00\x00\x00\x01", KEY_ID])
    with pytest.raises(Conflict, match="node 1"):
        await store.retire_keys(KEY_ID, [], change())

    await store.announce_keys(acme.node, [KEY_ID, b"\x00\x00\x00\x01"])
    await store.retire_keys(KEY_ID, [b"\x00\x00\x00\x01"], change())
