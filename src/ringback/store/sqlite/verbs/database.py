"""What every verb works with."""

from __future__ import annotations

from ringback.store.sqlite.inline import InlineDatabase
from ringback.store.sqlite.node_locks import NodeLocks
from ringback.store.sqlite.threads import ThreadedDatabase


class Verbs:
    _db: ThreadedDatabase | InlineDatabase
    _locks: NodeLocks
