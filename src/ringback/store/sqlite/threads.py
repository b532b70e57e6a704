"""The database behind threads: one writes, a few read, and the event loop never waits for the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import apsw

from ringback.errors import StoreBroken, StoreUnavailable
from ringback.store.sqlite.connection import BUSY_MS, close, store_error
from ringback.store.sqlite.transaction import Committer, Job, Settled
from ringback.store.sqlite.turn import Turn

T = TypeVar("T")
Query = Callable[[apsw.Connection], T]
READERS = 2
TURN_SECONDS = BUSY_MS / 1000
_log = logging.getLogger(__name__)


class Waiting:
    """A piece of work and the future of who waits for it."""

    __slots__ = ("_untaken", "future", "work")

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._untaken = Lock()

    def take(self) -> bool:
        """True once: for the thread that will do it, or for who withdraws it."""
        return self._untaken.acquire(blocking=False)

    def settle(self, settled: Settled) -> None:
        if self.future.done():
            return
        if settled.error is None:
            self.future.set_result(settled.value)
        else:
            self.future.set_exception(settled.error)


# None ends the thread that takes it.
WorkQueue = SimpleQueue[Waiting | None]


class ThreadedDatabase:
    def __init__(
        self,
        db: apsw.Connection,
        readers: Sequence[apsw.Connection],
        turn: Turn,
        on_broken: Callable[[StoreBroken], None] | None,
    ) -> None:
        self._committer = Committer(db)
        self._turn = turn
        self._on_broken = on_broken
        self._db = db
        self._writes: WorkQueue = SimpleQueue()
        self._reads: WorkQueue = SimpleQueue()
        self._closed = False
        self._threads = [
            Thread(target=self._write_on, name="ringback-writer", daemon=True),
            *(
                Thread(target=self._read_on, args=(one,), name="ringback-reader", daemon=True)
                for one in readers
            ),
        ]
        for thread in self._threads:
            thread.start()

    async def write(self, job: Job[T]) -> T:
        """Raises StoreUnavailable where another process keeps its turn for too long."""
        waiting = Waiting(job)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(TURN_SECONDS, self._withdraw, waiting)
        try:
            value: T = await self._put(self._writes, waiting)
            return value
        finally:
            timer.cancel()

    async def read(self, query: Query[T]) -> T:
        value: T = await self._put(self._reads, Waiting(query))
        return value

    async def close(self) -> None:
        """What waits already is still done."""
        if self._closed:
            return
        self._closed = True
        self._writes.put(None)
        for _ in self._threads[1:]:
            self._reads.put(None)
        for thread in self._threads:
            await self._ended(thread)

    async def _ended(self, thread: Thread) -> None:
        """A writer whose turn never comes is left behind: whoever waited for it has been told."""
        while thread.is_alive():
            await asyncio.to_thread(thread.join, TURN_SECONDS)
            if self._turn.awaited:
                return

    async def _put(self, queue: WorkQueue, waiting: Waiting) -> Any:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        queue.put(waiting)
        return await waiting.future

    def _withdraw(self, waiting: Waiting) -> None:
        """Where only this process itself keeps it waiting, it goes on waiting."""
        if waiting.future.done():
            return
        if self._turn.awaited and waiting.take():
            reason = f"another process has kept the database to itself for {TURN_SECONDS:.0f} s"
            waiting.settle(Settled(error=StoreUnavailable(reason)))
        else:
            asyncio.get_running_loop().call_later(TURN_SECONDS, self._withdraw, waiting)

    def _write_on(self) -> None:
        going = True
        while going and (first := self._writes.get()) is not None:
            healthy = self._committer.broken is None
            with self._turn.taken():
                # Only now: what came while the turn was awaited goes along.
                batch, going = _all_waiting(first, self._writes)
                settled = self._settled(batch)
            _hand_back(batch, settled)
            if healthy and self._committer.broken is not None:
                self._report(first.future.get_loop(), self._committer.broken)
        close(self._db)
        self._turn.close()

    def _settled(self, batch: Sequence[Waiting]) -> Sequence[Settled]:
        """Whatever goes wrong here, nobody is left waiting: a writer that dies takes the store with it."""
        try:
            settled = self._committer.settle([one.work for one in batch])
            self._committer.tidy()
        except Exception as error:  # noqa: BLE001 - the top of the writer's loop
            self._committer.broken = StoreBroken(f"the writer died: {error!r}")
            return [Settled(error=self._committer.broken)] * len(batch)
        return settled

    def _report(self, loop: asyncio.AbstractEventLoop, broken: StoreBroken) -> None:
        _log.critical("the store is broken: %s", broken)
        if self._on_broken is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._on_broken, broken)

    def _read_on(self, db: apsw.Connection) -> None:
        while (waiting := self._reads.get()) is not None:
            _hand_back([waiting], [answer(db, waiting.work)])
        close(db)


def answer(db: apsw.Connection, query: Query[Any]) -> Settled:
    """One consistent state of the database for all statements of the query."""
    try:
        db.execute("BEGIN")
        try:
            return Settled(query(db))
        finally:
            # After a failing disk there is none left to end.
            if db.in_transaction:
                db.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - it goes to whoever asked
        return Settled(error=store_error(error) or error)


def _all_waiting(first: Waiting, queue: WorkQueue) -> tuple[list[Waiting], bool]:
    """Without those that were withdrawn. False: the end was among them."""
    batch: list[Waiting] = []
    waiting: Waiting | None = first
    while waiting is not None:
        if waiting.take():
            batch.append(waiting)
        try:
            waiting = queue.get_nowait()
        except Empty:
            return batch, True
    return batch, False


def _hand_back(batch: Sequence[Waiting], settled: Sequence[Settled]) -> None:
    """On each one's own loop; a loop that is closed has nobody waiting."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Waiting, Settled]]] = {}
    for one, end in zip(batch, settled, strict=True):
        by_loop.setdefault(one.future.get_loop(), []).append((one, end))
    for loop, ended in by_loop.items():
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, ended)


def _settle(ended: Sequence[tuple[Waiting, Settled]]) -> None:
    for one, end in ended:
        one.settle(end)
