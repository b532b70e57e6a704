"""API keys: stored as digests, gone when revoked."""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.model import ApiKey, Scope
from ringback.store.port import Change, Page
from ringback.store.sqlite import audit
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

COLUMNS = "key_id, friendly_name, scopes, business_ids, digest, ends_in, created_at"


def create_key(tx: Transaction, key: ApiKey, change: Change) -> None:
    taken = fetch(tx.db, "SELECT 1 FROM api_keys WHERE digest = ? OR key_id = ?", (key.digest, key.key_id))
    if taken:
        raise Conflict("this key exists already")
    tx.db.execute(
        f"INSERT INTO api_keys ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            key.key_id,
            key.friendly_name,
            msgspec.json.encode(sorted(key.scopes)).decode(),
            msgspec.json.encode(sorted(key.business_ids)).decode(),
            key.digest,
            key.ends_in,
            key.created_at,
        ),
    )
    _changed(tx, key.key_id, change)


def revoke_key(tx: Transaction, key_id: int, change: Change) -> None:
    tx.db.execute("DELETE FROM api_keys WHERE key_id = ?", (key_id,))
    if not tx.db.changes():
        raise NotFound("there is no such key")
    _changed(tx, key_id, change)


def list_keys(db: apsw.Connection, limit: int, before: int | None) -> Page[ApiKey]:
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM api_keys WHERE (?1 IS NULL OR key_id < ?1) ORDER BY key_id DESC LIMIT ?2",
        (before, limit + 1),
    )
    items = tuple(_key_of(row) for row in rows[:limit])
    return Page(items=items, next_before=items[-1].key_id if len(rows) > limit else None)


def all_keys(db: apsw.Connection) -> dict[bytes, ApiKey]:
    keys = [_key_of(row) for row in fetch(db, f"SELECT {COLUMNS} FROM api_keys")]
    return {key.digest: key for key in keys}


def _key_of(row: tuple[Any, ...]) -> ApiKey:
    key_id, friendly_name, scopes, business_ids, digest, ends_in, created_at = row
    return ApiKey(
        key_id=key_id,
        friendly_name=friendly_name,
        scopes=msgspec.json.decode(scopes, type=frozenset[Scope]),
        business_ids=msgspec.json.decode(business_ids, type=frozenset[int]),
        digest=digest,
        ends_in=ends_in,
        created_at=created_at,
    )


def _changed(tx: Transaction, key_id: int, change: Change) -> None:
    audit.mark_keys_changed(tx.db)
    audit.note(tx.db, change, ids.public(ids.API_KEY, key_id), None)
