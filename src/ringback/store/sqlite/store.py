"""`SqliteStore`: a database file, its nodes' lives, and the verbs of the port."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ringback.clock import wall_ms
from ringback.errors import StoreBroken
from ringback.model import Node
from ringback.store.sqlite import lifecycle
from ringback.store.sqlite.identity import FileIdentity
from ringback.store.sqlite.inline import InlineDatabase
from ringback.store.sqlite.node_locks import NodeLocks
from ringback.store.sqlite.schema import open_migrated
from ringback.store.sqlite.threads import READERS, ThreadedDatabase
from ringback.store.sqlite.transaction import Transaction
from ringback.store.sqlite.turn import Turn
from ringback.store.sqlite.verbs.configuration import ConfigurationVerbs
from ringback.store.sqlite.verbs.keeping import KeepingVerbs
from ringback.store.sqlite.verbs.log import LogVerbs
from ringback.store.sqlite.verbs.path import PathVerbs
from ringback.store.sqlite.verbs.people import PeopleVerbs
from ringback.store.sqlite.verbs.sealing import SealingVerbs
from ringback.store.sqlite.verbs.statistics import MonitoringVerbs


class SqliteStore(
    PathVerbs, ConfigurationVerbs, LogVerbs, KeepingVerbs, PeopleVerbs, SealingVerbs, MonitoringVerbs
):
    """A database file with `<file>-nodes/` beside it. Made by `open`."""

    def __init__(
        self,
        database: ThreadedDatabase | InlineDatabase,
        file: FileIdentity | None,
        locks: NodeLocks,
        clock: Callable[[], int],
    ) -> None:
        self._db = database
        self._file = file
        self._locks = locks
        self._clock = clock

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], int] = wall_ms,
        inline: bool = False,
        vfs: str | None = None,
        on_broken: Callable[[StoreBroken], None] | None = None,
    ) -> SqliteStore:
        """Open the file, made and migrated where needed. Raises ConfigurationError.

        `inline` runs everything in the calling thread. With a `vfs` of one's own the file is locked for
        this store alone, and `inline` must be chosen. `on_broken` hears of a StoreBroken once, on the loop.
        """
        if vfs is not None and not inline:
            raise ValueError("a vfs of one's own goes with inline only")
        db, readers = open_migrated(path, clock, vfs, 0 if inline else READERS)
        file = FileIdentity(path) if vfs is None else None
        folder = path.with_name(f"{path.name}-nodes")
        database = (
            InlineDatabase(db, on_broken)
            if inline
            else ThreadedDatabase(db, readers, Turn(folder), on_broken)
        )
        return cls(database, file, NodeLocks(folder), clock)

    # -- life

    def now(self) -> int:
        return self._clock()

    async def join(self, now: int) -> Node:
        node_id = self._locks.take_free()
        try:
            return await self._db.write(lambda tx: lifecycle.begin_life(tx, node_id, now))
        except BaseException:
            self._locks.let_go(node_id)
            raise

    async def heartbeat(self, node: Node, now: int) -> None:
        """Raises StoreBroken, told to `on_broken` too, where the path names another file than the opened."""

        def beat(tx: Transaction) -> None:
            if self._file is not None:
                self._file.check()
            lifecycle.show_life(tx, node, now)

        await self._db.write(beat)

    async def leave(self, node: Node) -> None:
        now = self.now()
        try:
            await self._db.write(lambda tx: lifecycle.end_life(tx, node, now))
        finally:
            self._locks.let_go(node.node_id)

    async def close(self) -> None:
        try:
            await self._db.close()
        finally:
            self._locks.let_go_of_all()
