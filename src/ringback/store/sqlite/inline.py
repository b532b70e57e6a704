"""The database without threads, for simulations that repeat exactly: a job runs where it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import apsw

from ringback.errors import StoreBroken, StoreUnavailable
from ringback.store.sqlite.connection import close
from ringback.store.sqlite.threads import Query, answer
from ringback.store.sqlite.transaction import Committer, Job

T = TypeVar("T")


class InlineDatabase:
    def __init__(self, db: apsw.Connection, on_broken: Callable[[StoreBroken], None] | None) -> None:
        self._db = db
        self._committer = Committer(db)
        self._on_broken = on_broken
        self._closed = False

    async def write(self, job: Job[T]) -> T:
        self._check_open()
        healthy = self._committer.broken is None
        (settled,) = self._committer.settle([job])
        broken = self._committer.broken
        if healthy and broken is not None and self._on_broken is not None:
            self._on_broken(broken)
        self._committer.tidy()
        return cast(T, settled.outcome())

    async def read(self, query: Query[T]) -> T:
        self._check_open()
        return cast(T, answer(self._db, query).outcome())

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            close(self._db)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
