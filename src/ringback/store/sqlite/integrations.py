"""Integrations and their secrets: saved over the version they were read at, with their history."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.model import (
    Integration,
    IntegrationSettings,
    IntegrationState,
    Secret,
    SecretState,
)
from ringback.store.port import Change, Page
from ringback.store.sqlite import audit
from ringback.store.sqlite.lanes import add_lane, refresh_held
from ringback.store.sqlite.master_keys import refuse_retired
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.sequence import next_id
from ringback.store.sqlite.transaction import Transaction

COLUMNS = (
    "integration_id, business_id, type, friendly_name, url, events, settings, sealed_headers,"
    " state, state_reason, state_since, created_at, updated_at, version"
)

_SECRET_COLUMNS = "secret_id, state, sealed, ends_in, created_at, expires_at"
_UPDATE = """
UPDATE integrations SET type = ?, friendly_name = ?, url = ?, events = ?, settings = ?, sealed_headers = ?,
    state = ?, state_reason = ?, state_since = ?, updated_at = ?, version = version + 1
WHERE integration_id = ?
"""


def create_integration(tx: Transaction, integration: Integration, change: Change) -> Integration:
    one = integration
    found = fetch(
        tx.db, "SELECT 1 FROM businesses WHERE business_id = ? AND deleted_at IS NULL", (one.business_id,)
    )
    if not found:
        raise NotFound("there is no such business")
    refuse_retired(tx.db, _sealed_of(one))
    tx.db.execute(
        f"INSERT INTO integrations ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (one.integration_id, one.business_id, *_settable(one), one.created_at, one.updated_at, one.version),
    )
    add_lane(tx.db, one.integration_id, one.business_id)
    _write_secrets(tx.db, one)
    _changed(tx, one.business_id, one.integration_id, change)
    return one


def save_integration(tx: Transaction, integration: Integration, change: Change) -> Integration:
    business_id, integration_id = integration.business_id, integration.integration_id
    stored = get_integration(tx.db, business_id, integration_id)
    if stored.version != integration.version:
        raise Conflict("the integration was changed by somebody else in the meantime; read it again")
    refuse_retired(tx.db, _sealed_of(integration) - _sealed_of(stored))
    integration = _without_expired(integration, stored)
    tx.db.execute(_UPDATE, (*_settable(integration), change.at, integration_id))
    _write_secrets(tx.db, integration)
    _changed(tx, business_id, integration_id, change)
    return msgspec.structs.replace(integration, updated_at=change.at, version=integration.version + 1)


def delete_integration(tx: Transaction, business_id: int, integration_id: int, change: Change) -> None:
    get_integration(tx.db, business_id, integration_id)
    _forget(tx, integration_id, change.at)
    _changed(tx, business_id, integration_id, change)


def forget_integrations_of(tx: Transaction, business_id: int, now: int) -> None:
    """A deleted business takes its integrations along."""
    rows = fetch(
        tx.db,
        "SELECT integration_id FROM integrations WHERE business_id = ? AND deleted_at IS NULL",
        (business_id,),
    )
    for (integration_id,) in rows:
        _forget(tx, integration_id, now)
        _write_history(tx, integration_id, now)


def get_integration(db: apsw.Connection, business_id: int, integration_id: int) -> Integration:
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM integrations"
        " WHERE integration_id = ? AND business_id = ? AND deleted_at IS NULL",
        (integration_id, business_id),
    )
    if not rows:
        raise NotFound("there is no such integration")
    return _with_secrets(db, rows[0])


def list_integrations(
    db: apsw.Connection, business_id: int, limit: int, before: int | None
) -> Page[Integration]:
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM integrations WHERE business_id = ?1 AND deleted_at IS NULL"
        " AND (?2 IS NULL OR integration_id < ?2) ORDER BY integration_id DESC LIMIT ?3",
        (business_id, before, limit + 1),
    )
    items = tuple(_with_secrets(db, row) for row in rows[:limit])
    return Page(items=items, next_before=items[-1].integration_id if len(rows) > limit else None)


def integrations_of(db: apsw.Connection, business_id: int) -> tuple[Integration, ...]:
    """All of them, oldest first."""
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM integrations WHERE business_id = ? AND deleted_at IS NULL"
        " ORDER BY integration_id",
        (business_id,),
    )
    return tuple(_with_secrets(db, row) for row in rows)


def _with_secrets(db: apsw.Connection, row: tuple[Any, ...]) -> Integration:
    secrets = fetch(
        db,
        f"SELECT {_SECRET_COLUMNS} FROM secrets WHERE integration_id = ? ORDER BY state, secret_id",
        (row[0],),
    )
    return _integration_of(row, tuple(_secret_of(secret) for secret in secrets))


def _integration_of(row: tuple[Any, ...], secrets: tuple[Secret, ...]) -> Integration:
    one = dict(zip(COLUMNS.replace(" ", "").split(","), row, strict=True))
    one["events"] = msgspec.json.decode(one["events"], type=tuple[str, ...])
    one["settings"] = msgspec.json.decode(one["settings"], type=IntegrationSettings)
    one["state"] = IntegrationState(one["state"])
    return Integration(secrets=secrets, **one)


def _secret_of(row: tuple[Any, ...]) -> Secret:
    secret_id, state, sealed, ends_in, created_at, expires_at = row
    return Secret(
        secret_id=secret_id,
        state=SecretState(state),
        sealed=sealed,
        ends_in=ends_in,
        created_at=created_at,
        expires_at=expires_at,
    )


def _settable(one: Integration) -> tuple[Any, ...]:
    """In the order of the columns, from `type` to `state_since`."""
    return (
        one.type,
        one.friendly_name,
        one.url,
        msgspec.json.encode(one.events).decode(),
        msgspec.json.encode(one.settings).decode(),
        one.sealed_headers,
        one.state,
        one.state_reason,
        one.state_since,
    )


def _without_expired(integration: Integration, stored: Integration) -> Integration:
    """An outgoing secret that is not stored any more has expired since this value was read."""
    there = {one.secret_id for one in stored.secrets}
    kept = tuple(
        one for one in integration.secrets if one.state is SecretState.CURRENT or one.secret_id in there
    )
    return msgspec.structs.replace(integration, secrets=kept)


def _sealed_of(one: Integration) -> frozenset[bytes]:
    headers = frozenset() if one.sealed_headers is None else frozenset({one.sealed_headers})
    return headers | {secret.sealed for secret in one.secrets}


def _write_secrets(db: apsw.Connection, one: Integration) -> None:
    db.execute("DELETE FROM secrets WHERE integration_id = ?", (one.integration_id,))
    for secret in one.secrets:
        db.execute(
            f"INSERT INTO secrets (integration_id, {_SECRET_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                one.integration_id,
                secret.secret_id,
                secret.state,
                secret.sealed,
                secret.ends_in,
                secret.created_at,
                secret.expires_at,
            ),
        )


def _forget(tx: Transaction, integration_id: int, now: int) -> None:
    """Nothing will be signed for it again: its secrets go at once."""
    tx.db.execute(
        "UPDATE integrations SET deleted_at = ?, sealed_headers = NULL WHERE integration_id = ?",
        (now, integration_id),
    )
    tx.db.execute("DELETE FROM secrets WHERE integration_id = ?", (integration_id,))


def _changed(tx: Transaction, business_id: int, integration_id: int, change: Change) -> None:
    refresh_held(tx.db, business_id, change.at)
    _write_history(tx, integration_id, change.at)
    audit.mark_changed(tx.db, business_id)
    audit.note(tx.db, change, ids.public(ids.INTEGRATION, integration_id), business_id)


def _write_history(tx: Transaction, integration_id: int, now: int) -> None:
    tx.db.execute(
        "INSERT INTO integration_history SELECT integration_id, ?, business_id, events, state,"
        " deleted_at IS NOT NULL FROM integrations WHERE integration_id = ?",
        (next_id(tx.db, now), integration_id),
    )
