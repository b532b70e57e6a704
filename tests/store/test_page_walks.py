"""Walks through every list while it changes: each page has all that is there between its ends, so each row
is seen once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from ringback import ids
from ringback.failures import FailureClass
from ringback.model import DeliveryState, IntegrationState
from ringback.people import Credentials, Role, UserEdit, new_user
from ringback.store.port import AuditFilter, Chore, DeliveryFilter, EventFilter, NewBusiness, Store
from ringback.store.sqlite import pages
from tests.builders import KEEP, NOON, Clock, Tenant, a_tenant, api_key, change, integration
from tests.store.stirring import Stirring
from tests.store.walking import Ask, Passes, Walk, passing, walk_all

SEEDS = range(4)

# ---------------------------------------------------------------- logs

DELIVERIES: list[dict[str, Any]] = [
    {},
    *({"state": state} for state in (*DeliveryState, "held")),
    *({"state": state, "integration_id": 0} for state in ("held", "retrying", "queued", "dead")),
    {"integration_id": 0},
    {"integration_id": 1, "event_type": "call.started"},
    {"event_type": "call.completed"},
    {"event_id": "evt_wide"},
    {"event_id": "evt_wide", "state": "held"},
    {"status": 200},
    {"status": 500},
    {"status": 503, "state": "dead"},
    {"failure_class": FailureClass.RESPONSE_TIMEOUT},
    {"failure_class": FailureClass.SERVER_500, "integration_id": 1},
    {"test": True},
    {"test": False, "state": "cancelled"},
    {"state": "held", "event_type": "call.started"},
    {"state": "cancelled", "event_type": "call.completed"},
    {"state": "retrying", "status": 500},
    {"since": NOON + 20_000},
    *({"until": NOON + seconds * 1_000} for seconds in (30, 60, 90)),
    {"since": NOON + 20_000, "until": NOON + 90_000, "state": "held"},
]
EVENTS: list[dict[str, Any]] = [
    {},
    {"event_type": "call.started"},
    {"test": True},
    {"test": False},
    {"since": NOON + 20_000},
    {"until": NOON + 60_000, "event_type": "call.completed"},
]
AUDIT: list[dict[str, Any]] = [
    {},
    {"actor": "key:second"},
    {"action": "delivery.retry"},
    {"thing": 0},
    {"thing": 1, "action": "integration.pause"},
    {"since": NOON + 10_000, "actor": "key:first"},
    {"until": NOON + 60_000},
]
# The filters' names where the rows have others.
OF_ROWS = {"status": "last_status", "failure_class": "last_failure"}


def passes(wanted: dict[str, Any], born: str) -> Passes:
    """`born` is the field that `since` and `until` are about."""
    since, until = wanted.get("since", 0), wanted.get("until", 1 << 62)
    equal = {
        OF_ROWS.get(name, name): value for name, value in wanted.items() if name not in ("since", "until")
    }
    return lambda row: (
        since <= getattr(row, born) < until
        and all(getattr(row, name) == value for name, value in equal.items())
    )


def delivery_walk(acme: Tenant, wanted: dict[str, Any]) -> Walk:
    wanted = {**wanted}
    if "integration_id" in wanted:
        wanted["integration_id"] = acme.lanes[wanted["integration_id"]]
    ask = acme.store.list_deliveries
    return Walk(
        f"deliveries {wanted}",
        "delivery_id",
        lambda limit, before: ask(acme.id, DeliveryFilter(**wanted), limit, before),
        passing(
            "delivery_id",
            lambda limit, before: ask(acme.id, DeliveryFilter(), limit, before),
            passes(wanted, "created_at"),
        ),
    )


def event_walk(acme: Tenant, wanted: dict[str, Any]) -> Walk:
    ask = acme.store.list_events
    return Walk(
        f"events {wanted}",
        "row_id",
        lambda limit, before: ask(acme.id, EventFilter(**wanted), limit, before),
        passing(
            "row_id",
            lambda limit, before: ask(acme.id, EventFilter(), limit, before),
            passes(wanted, "accepted_at"),
        ),
    )


def audit_walk(acme: Tenant, wanted: dict[str, Any], business_id: int | None) -> Walk:
    wanted = {**wanted}
    if "thing" in wanted:
        wanted["thing"] = ids.public(ids.INTEGRATION, acme.lanes[wanted["thing"]])
    ask = acme.store.list_audit
    return Walk(
        f"audit of {business_id} {wanted}",
        "row_id",
        lambda limit, before: ask(business_id, AuditFilter(**wanted), limit, before),
        passing(
            "row_id",
            lambda limit, before: ask(business_id, AuditFilter(), limit, before),
            passes(wanted, "at"),
        ),
    )


def walks_of_logs(acme: Tenant) -> list[Walk]:
    return [
        *(delivery_walk(acme, wanted) for wanted in DELIVERIES),
        *(event_walk(acme, wanted) for wanted in EVENTS),
        *(audit_walk(acme, wanted, business_id) for wanted in AUDIT for business_id in (acme.id, None)),
    ]


@pytest.fixture(params=SEEDS)
async def stirring(
    request: pytest.FixtureRequest, store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Stirring:
    """Three lanes with work of every kind, another business' between, and pages that may look at few rows."""
    chance = Random(request.param)
    monkeypatch.setattr(pages, "MOST_ROWS_SCANNED", chance.choice([8, 40, 400]))
    monkeypatch.setattr(pages, "_FIRST_LOOK", 5)
    acme = await a_tenant(store, clock, integrations=3)
    other = await a_tenant(store, clock, node=acme.node, name="Other")
    await acme.refresh()
    stirring = Stirring(chance, acme, other)
    await stirring.fill(45)
    return stirring


async def test_logs_that_grow_and_change(stirring: Stirring) -> None:
    await walk_all(stirring.chance, walks_of_logs(stirring.acme), stirring.once)


SHORT = replace(KEEP, payloads=1, attempts=2, held=1, audit=3)
HALF_A_DAY = 43_200_000


async def test_logs_that_retention_shortens(stirring: Stirring) -> None:
    chance, acme = stirring.chance, stirring.acme

    async def stir_and_forget() -> None:
        await stirring.once()
        if chance.random() < 0.1:
            acme.clock.pass_ms(HALF_A_DAY)
        for chore in (Chore.HELD, Chore.PAYLOADS, Chore.EVENTS, Chore.AUDIT):
            await acme.store.sweep(chore, SHORT, acme.clock(), chance.randint(1, 9))

    await walk_all(chance, walks_of_logs(acme), stir_and_forget)


# ---------------------------------------------------------------- configuration


@dataclass(frozen=True)
class Kind:
    """Rows of one kind: how they come, change, go and are listed."""

    name: str
    row_id: str
    ask: Ask
    add: Callable[[], Awaitable[int]]
    edit: Callable[[int], Awaitable[object]]
    remove: Callable[[int], Awaitable[object]]
    staying: frozenset[int] = frozenset()

    def walk(self, rows: list[int]) -> Walk:
        async def there() -> set[int]:
            return {*self.staying, *rows}

        return Walk(self.name, self.row_id, self.ask, there)


def a_row_id(chance: Random, clock: Clock) -> int:
    """As the API draws it: in any order within its millisecond."""
    return ids.random_id(clock(), chance.getrandbits(ids.COUNTER_BITS))


def keys(store: Store, chance: Random, clock: Clock) -> Kind:
    async def add() -> int:
        key_id = a_row_id(chance, clock)
        await store.create_key(api_key(key_id=key_id, digest=chance.randbytes(32)), change())
        return key_id

    async def edit(_: int) -> None:
        """A key stays as it is."""

    return Kind("keys", "key_id", store.list_keys, add, edit, lambda one: store.revoke_key(one, change()))


def users(store: Store, chance: Random, clock: Clock) -> Kind:
    async def add() -> int:
        user_id = a_row_id(chance, clock)
        user = new_user(user_id, f"{user_id}@example.com", None, Role.VIEWER, clock())
        await store.create_user(Credentials(user=user, password_hash="hash"), change())
        return user_id

    def edit(user_id: int) -> Awaitable[object]:
        name = str(chance.random())
        return store.change_user(user_id, UserEdit(name=name, role=Role.OPERATOR), change(), None)

    return Kind("users", "user_id", store.list_users, add, edit, lambda one: store.delete_user(one, change()))


async def a_business(store: Store) -> int:
    return (await store.create_business(NewBusiness(name="One more"), change())).business_id


def businesses(store: Store, chance: Random, *staying: int) -> Kind:
    async def edit(business_id: int) -> None:
        business = await store.get_business(business_id)
        await store.save_business(replace(business, name="Other", enabled=chance.random() < 0.5), change())

    def remove(business_id: int) -> Awaitable[None]:
        return store.delete_business(business_id, change())

    return Kind(
        "businesses",
        "business_id",
        store.list_businesses,
        lambda: a_business(store),
        edit,
        remove,
        frozenset(staying),
    )


def integrations(store: Store, business_id: int, chance: Random, clock: Clock) -> Kind:
    async def add() -> int:
        new = integration(business_id, integration_id=a_row_id(chance, clock), at=clock(), secrets=())
        return (await store.create_integration(new, change(at=clock()))).integration_id

    async def edit(integration_id: int) -> None:
        found = await store.get_integration(business_id, integration_id)
        state = chance.choice([IntegrationState.PAUSED, IntegrationState.ACTIVE])
        await store.save_integration(replace(found, state=state), change(at=clock()))

    return Kind(
        f"integrations of {business_id}",
        "integration_id",
        lambda limit, before: store.list_integrations(business_id, limit, before),
        add,
        edit,
        lambda one: store.delete_integration(business_id, one, change(at=clock())),
    )


@pytest.mark.parametrize("seed", SEEDS)
async def test_configuration_that_comes_and_goes(store: Store, clock: Clock, seed: int) -> None:
    chance = Random(seed)
    acme, other = await a_business(store), await a_business(store)
    kinds = [
        keys(store, chance, clock),
        users(store, chance, clock),
        businesses(store, chance, acme, other),
        integrations(store, acme, chance, clock),
        integrations(store, other, chance, clock),
    ]
    there = {kind.name: [await kind.add() for _ in range(20)] for kind in kinds}

    async def stir() -> None:
        kind = chance.choice(kinds)
        rows = there[kind.name]
        clock.pass_ms(chance.choice([0, 0, 1, 5_000, -2_000]))
        match chance.choice(["add", "add", "edit", "remove"]):
            case "add":
                rows.append(await kind.add())
            case "edit" if rows:
                await kind.edit(chance.choice(rows))
            case "remove" if rows:
                await kind.remove(rows.pop(chance.randrange(len(rows))))

    await walk_all(chance, [kind.walk(there[kind.name]) for kind in kinds for _ in range(3)], stir)
