"""What every change has in common: a line of the audit log, and a new version of the configuration."""

from __future__ import annotations

import apsw

from ringback.store.port import Change
from ringback.store.sqlite.rows import fetch


def note(db: apsw.Connection, change: Change, thing: str, business_id: int | None) -> None:
    """`thing`: what was changed, as people see it: `intg_01…`, `business 12`."""
    db.execute(
        "INSERT INTO audit (at, actor, action, object, detail, business_id) VALUES (?, ?, ?, ?, ?, ?)",
        (change.at, change.actor, change.action, thing, change.detail, business_id),
    )


def next_version(db: apsw.Connection) -> int:
    ((version,),) = fetch(db, "UPDATE meta SET configuration = configuration + 1 RETURNING configuration")
    return int(version)


def mark_changed(db: apsw.Connection, business_id: int) -> None:
    """Snapshots load this business anew."""
    db.execute("UPDATE businesses SET changed = ? WHERE business_id = ?", (next_version(db), business_id))


def mark_keys_changed(db: apsw.Connection) -> None:
    db.execute("UPDATE meta SET keys_changed = ?", (next_version(db),))
