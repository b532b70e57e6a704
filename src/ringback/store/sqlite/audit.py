"""What every change has in common: a line of the audit log, and a new version of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from ringback.store.port import Change
from ringback.store.sqlite.rows import RowStatement, fetch
from ringback.store.sqlite.sequence import following

_NOTES = RowStatement(
    "INSERT INTO audit (id, at, actor, action, object, detail, business_id)"
    " SELECT * FROM {rows} WHERE column1 IS NOT NULL",
    7,
)


def note(db: apsw.Connection, change: Change, thing: str, business_id: int | None) -> None:
    """`thing`: what was changed, as people see it: `intg_01…`, `business 12`."""
    note_each(db, change, [thing], business_id)


def note_each(db: apsw.Connection, change: Change, things: Sequence[str], business_id: int | None) -> None:
    """The same change to several things: a line for each."""
    clock_lead, last = fetch(db, "SELECT clock_lead, (SELECT ifnull(max(id), 0) FROM audit) FROM meta")[0]
    first = following(db, last, clock_lead, change.at)
    _NOTES.run(
        db,
        [
            (row_id, change.at, change.actor, change.action, thing, change.detail, business_id)
            for row_id, thing in enumerate(things, first)
        ],
    )


def next_version(db: apsw.Connection) -> int:
    ((version,),) = fetch(db, "UPDATE meta SET configuration = configuration + 1 RETURNING configuration")
    return int(version)


def mark_changed(db: apsw.Connection, business_id: int) -> None:
    """Snapshots load this business anew."""
    db.execute("UPDATE businesses SET changed = ? WHERE business_id = ?", (next_version(db), business_id))


def mark_keys_changed(db: apsw.Connection) -> None:
    db.execute("UPDATE meta SET keys_changed = ?", (next_version(db),))
