"""Which master keys may seal, which nodes have them, and values sealed anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import apsw
import msgspec

from ringback.errors import ConfigurationError, Conflict
from ringback.keyring import key_id_of
from ringback.model import Node
from ringback.store.port import Change, Resealed, Sealed
from ringback.store.sqlite import audit
from ringback.store.sqlite.lanes import id_list
from ringback.store.sqlite.rows import RowStatement, fetch
from ringback.store.sqlite.transaction import Transaction

_RESEAL = {
    Sealed.SECRET: RowStatement(
        "UPDATE secrets SET sealed = new.column3 FROM {rows} new"
        " WHERE secret_id = new.column1 AND sealed = new.column2 RETURNING integration_id",
        3,
    ),
    Sealed.HEADERS: RowStatement(
        "UPDATE integrations SET sealed_headers = new.column3 FROM {rows} new"
        " WHERE integration_id = new.column1 AND sealed_headers = new.column2 RETURNING integration_id",
        3,
    ),
}
_MARK_CHANGED = """
UPDATE businesses SET changed = ? WHERE business_id IN (
    SELECT business_id FROM integrations WHERE integration_id IN (SELECT value FROM json_each(?)))
"""


def announce_keys(tx: Transaction, node: Node, key_ids: Sequence[bytes]) -> None:
    if key_ids[0] in _retired(tx.db):
        raise ConfigurationError(
            f"the master key {key_ids[0].hex()} is retired: put the one that followed it before it"
        )
    tx.db.execute(
        "UPDATE nodes SET master_keys = ? WHERE node_id = ? AND epoch = ?",
        (" ".join(one.hex() for one in key_ids), node.node_id, node.epoch),
    )


def retire_keys(
    tx: Transaction,
    sealing: bytes,
    retired: Collection[bytes],
    change: Change,
    is_alive: Callable[[int], bool],
) -> None:
    behind = [str(node_id) for node_id in _not_sealing_with(tx.db, sealing) if is_alive(node_id)]
    if behind:
        raise Conflict(
            f"a running server (node {', '.join(behind)}) does not seal with the master key"
            f" {sealing.hex()} yet"
        )
    tx.db.execute("DELETE FROM retired_keys WHERE key_id = ?", (sealing,))
    for key_id in retired:
        tx.db.execute("INSERT OR IGNORE INTO retired_keys VALUES (?, ?)", (key_id, change.at))
    audit.note(tx.db, change, f"master key {sealing.hex()}", None)


def reseal(tx: Transaction, values: Sequence[Resealed], change: Change) -> int:
    refuse_retired(tx.db, (one.after for one in values))
    touched: list[int] = []
    for kind, statement in _RESEAL.items():
        rows = [(one.row_id, one.before, one.after) for one in values if one.kind is kind]
        touched += [integration_id for (integration_id,) in statement.run(tx.db, rows)]
    tx.db.execute(_MARK_CHANGED, (audit.next_version(tx.db), id_list(touched)))
    counted = msgspec.structs.replace(change, detail=f"{len(touched)} values")
    audit.note(tx.db, counted, f"master key {key_id_of(values[0].after).hex()}", None)
    return len(touched)


def refuse_retired(db: apsw.Connection, sealed: Iterable[bytes]) -> None:
    """Raises Conflict where one of these was sealed with a retired key: sealed again, it will be written."""
    if {key_id_of(one) for one in sealed} & _retired(db):
        raise Conflict("the master key is being replaced; try again")


def _retired(db: apsw.Connection) -> frozenset[bytes]:
    return frozenset(key_id for (key_id,) in fetch(db, "SELECT key_id FROM retired_keys"))


def _not_sealing_with(db: apsw.Connection, sealing: bytes) -> list[int]:
    """Nodes that have not left, living or dead."""
    rows = fetch(
        db,
        "SELECT node_id FROM nodes WHERE left_at IS NULL AND substr(master_keys, 1, ?) <> ?",
        (2 * len(sealing), sealing.hex()),
    )
    return [node_id for (node_id,) in rows]
