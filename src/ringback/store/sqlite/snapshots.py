"""The newest configuration, built on an older one: only what has changed is loaded."""

from __future__ import annotations

import apsw

from ringback.match import EMPTY, BusinessView, Snapshot
from ringback.model import Business
from ringback.store.sqlite.businesses import COLUMNS, business_of
from ringback.store.sqlite.event_types import event_types_of
from ringback.store.sqlite.integrations import integrations_of
from ringback.store.sqlite.keys import all_keys
from ringback.store.sqlite.rows import fetch


def snapshot(db: apsw.Connection, previous: Snapshot) -> Snapshot:
    ((version, keys_changed),) = fetch(db, "SELECT configuration, keys_changed FROM meta")
    if previous.version == version:
        return previous
    known = previous if previous.version < version else EMPTY
    keys = all_keys(db) if keys_changed > known.version else known.keys
    return Snapshot(version, _businesses(db, known), keys)


def _businesses(db: apsw.Connection, known: Snapshot) -> dict[int, BusinessView]:
    views = dict(known.businesses)
    changed = fetch(
        db, f"SELECT deleted_at IS NOT NULL, {COLUMNS} FROM businesses WHERE changed > ?", (known.version,)
    )
    for deleted, *row in changed:
        business = business_of(tuple(row))
        if deleted:
            views.pop(business.business_id, None)
        else:
            views[business.business_id] = _view(db, business, known)
    return views


def _view(db: apsw.Connection, business: Business, known: Snapshot) -> BusinessView:
    business_id = business.business_id
    before = known.businesses.get(business_id)
    known_types = {} if before is None else before.own_types
    own_types = event_types_of(db, business_id, known_types, known.version)
    return BusinessView(business, integrations_of(db, business_id), own_types)
