"""Businesses: created, changed, hidden."""

from __future__ import annotations

from typing import Any

import apsw

from ringback.errors import Conflict, NotFound, StaleSnapshot
from ringback.model import Business, PayloadValidation
from ringback.store.port import Change, NewBusiness, Page
from ringback.store.sqlite import audit
from ringback.store.sqlite.integrations import forget_integrations_of
from ringback.store.sqlite.lanes import refresh_held
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

COLUMNS = "business_id, name, external_id, enabled, payload_validation, created_at"


def create_business(tx: Transaction, new: NewBusiness, change: Change) -> Business:
    _check_external_id(tx.db, new.external_id, 0)
    tx.db.execute(
        "INSERT INTO businesses (name, external_id, enabled, payload_validation, created_at, changed)"
        " VALUES (?, ?, ?, ?, ?, 0)",
        (new.name, new.external_id, new.enabled, new.payload_validation, change.at),
    )
    business_id = tx.db.last_insert_rowid()
    _changed(tx, business_id, change)
    return get_business(tx.db, business_id)


def save_business(
    tx: Transaction, business: Business, change: Change, read: Business | None = None
) -> Business:
    business_id = business.business_id
    current = get_business(tx.db, business_id)
    if read is not None and read != current:
        raise StaleSnapshot(f"business {business_id} was changed meanwhile")
    _check_external_id(tx.db, business.external_id, business_id)
    tx.db.execute(
        "UPDATE businesses SET name = ?, external_id = ?, enabled = ?, payload_validation = ?"
        " WHERE business_id = ?",
        (business.name, business.external_id, business.enabled, business.payload_validation, business_id),
    )
    refresh_held(tx.db, business_id, change.at)
    _changed(tx, business_id, change)
    return get_business(tx.db, business_id)


def delete_business(tx: Transaction, business_id: int, change: Change) -> None:
    get_business(tx.db, business_id)
    tx.db.execute("UPDATE businesses SET deleted_at = ? WHERE business_id = ?", (change.at, business_id))
    forget_integrations_of(tx, business_id, change.at)
    tx.db.execute("DELETE FROM event_types WHERE business_id = ?", (business_id,))
    refresh_held(tx.db, business_id, change.at)
    _changed(tx, business_id, change)


def get_business(db: apsw.Connection, business_id: int) -> Business:
    rows = fetch(
        db, f"SELECT {COLUMNS} FROM businesses WHERE business_id = ? AND deleted_at IS NULL", (business_id,)
    )
    if not rows:
        raise NotFound("there is no such business")
    return business_of(rows[0])


def list_businesses(db: apsw.Connection, limit: int, before: int | None) -> Page[Business]:
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM businesses WHERE deleted_at IS NULL AND (?1 IS NULL OR business_id < ?1)"
        " ORDER BY business_id DESC LIMIT ?2",
        (before, limit + 1),
    )
    items = tuple(business_of(row) for row in rows[:limit])
    return Page(items=items, next_before=items[-1].business_id if len(rows) > limit else None)


def business_of(row: tuple[Any, ...]) -> Business:
    business_id, name, external_id, enabled, payload_validation, created_at = row
    return Business(
        business_id=business_id,
        name=name,
        external_id=external_id,
        enabled=bool(enabled),
        payload_validation=PayloadValidation(payload_validation),
        created_at=created_at,
    )


def _check_external_id(db: apsw.Connection, external_id: str | None, own_id: int) -> None:
    taken = fetch(
        db,
        "SELECT 1 FROM businesses WHERE external_id = ? AND business_id <> ? AND deleted_at IS NULL",
        (external_id, own_id),
    )
    if taken:
        raise Conflict("another business has this external id")


def _changed(tx: Transaction, business_id: int, change: Change) -> None:
    audit.mark_changed(tx.db, business_id)
    audit.note(tx.db, change, f"business {business_id}", business_id)
