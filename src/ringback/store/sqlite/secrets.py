"""Secrets apart from their integrations: shown to somebody, and gone when their time is over."""

from __future__ import annotations

import apsw
import msgspec

from ringback import ids
from ringback.errors import Conflict
from ringback.model import Secret
from ringback.store.port import Change
from ringback.store.sqlite import audit
from ringback.store.sqlite.integrations import get_integration
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_ANY_EXPIRED = """
SELECT 1 FROM secrets INDEXED BY secrets_expiring WHERE expires_at <= ? AND state = 'outgoing' LIMIT 1
"""
_EXPIRE = """
DELETE FROM secrets WHERE secret_id IN (
    SELECT secret_id FROM secrets INDEXED BY secrets_expiring
    WHERE expires_at <= ? AND state = 'outgoing' ORDER BY expires_at LIMIT ?)
RETURNING secret_id, integration_id,
    (SELECT business_id FROM integrations i WHERE i.integration_id = secrets.integration_id)
"""


def any_expired(db: apsw.Connection, now: int) -> bool:
    return bool(fetch(db, _ANY_EXPIRED, (now,)))


def reveal_secrets(
    tx: Transaction, business_id: int, integration_id: int, change: Change
) -> tuple[Secret, ...]:
    found = get_integration(tx.db, business_id, integration_id)
    if not found.secrets:
        raise Conflict("it has no secret")
    audit.note(tx.db, change, ids.public(ids.INTEGRATION, integration_id), business_id)
    return found.secrets


def expire_secrets(tx: Transaction, limit: int, change: Change) -> int:
    """No snapshot needs to hear of it: nobody signed with them any more."""
    expired = fetch(tx.db, _EXPIRE, (change.at, limit))
    for secret_id, integration_id, business_id in expired:
        detailed = msgspec.structs.replace(change, detail=ids.public(ids.SECRET, secret_id))
        audit.note(tx.db, detailed, ids.public(ids.INTEGRATION, integration_id), business_id)
    return len(expired)
