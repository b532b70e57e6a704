"""Jobs in transactions: those that wait together share one commit, and each one's failure is its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import apsw

from ringback.errors import RingbackError, StoreBroken, StoreUnavailable
from ringback.store.sqlite.connection import BUSY_MS, commit_error, store_error
from ringback.store.sqlite.rollups import Rollups

T = TypeVar("T")
_CHECKPOINT_PAGES = 4096
_TRUNCATE_PAGES = 4 * _CHECKPOINT_PAGES
_CHECKPOINT_WAIT_MS = 20


class Transaction:
    """What a job works with. `alone`: no other job shares the transaction, so it may undo in part.

    A job refuses before it writes and counts, wherever it can.
    """

    __slots__ = ("alone", "db", "rollups")

    def __init__(self, db: apsw.Connection, *, alone: bool) -> None:
        self.db = db
        self.alone = alone
        self.rollups = Rollups()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What is written and counted inside happens entirely or, where it raises, not at all."""
        before, self.rollups = self.rollups, Rollups()
        self.db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.rollups = before
            # A full disk may have rolled back everything already.
            if self.db.in_transaction:
                self.db.execute("ROLLBACK TO part")
                self.db.execute("RELEASE part")
            raise
        self.db.execute("RELEASE part")
        before.add(self.rollups)
        self.rollups = before


Job = Callable[[Transaction], T]


class Settled:
    """How a job ended: a value or an error."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error

    def outcome(self) -> Any:
        """The value, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.value


class Committer:
    """The only writer of this process. It belongs to one thread."""

    def __init__(self, db: apsw.Connection) -> None:
        self.broken: StoreBroken | None = None
        self._db = db
        self._wal_pages = 0
        self._next_checkpoint = _CHECKPOINT_PAGES
        db.set_wal_hook(self._committed)

    def settle(self, jobs: Sequence[Job[Any]]) -> list[Settled]:
        """Run all in one transaction; where one of them fails half-way, each in its own."""
        if self.broken is not None:
            return [Settled(error=self.broken) for _ in jobs]
        if len(jobs) > 1:
            together = self._together(jobs)
            if together is not None:
                return together
        return [self._alone(job) for job in jobs]

    def tidy(self) -> None:
        """Between batches: bring a long write-ahead log back into the file, without waiting for readers."""
        if self._wal_pages < self._next_checkpoint or self.broken is not None:
            return
        mode = apsw.SQLITE_CHECKPOINT_RESTART
        if self._wal_pages >= _TRUNCATE_PAGES:
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
        self._checkpoint(mode)

    def _checkpoint(self, mode: int) -> None:
        self._db.set_busy_timeout(_CHECKPOINT_WAIT_MS)
        try:
            self._db.wal_checkpoint(mode=mode)
            self._wal_pages, self._next_checkpoint = 0, _CHECKPOINT_PAGES
        except apsw.Error:
            # A reader stays, or the disk fails: that shows at the next commit, where it matters.
            self._next_checkpoint = self._wal_pages + _CHECKPOINT_PAGES // 4
        finally:
            self._db.set_busy_timeout(BUSY_MS)

    def _committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _together(self, jobs: Sequence[Job[Any]]) -> list[Settled] | None:
        """None where a job failed half-way and all is undone."""
        try:
            return self._transact(jobs, alone=False)
        except (StoreUnavailable, StoreBroken) as error:
            return [Settled(error=error) for _ in jobs]
        except Exception:  # noqa: BLE001 - run alone, the job raises it again, to its caller
            return None

    def _alone(self, job: Job[Any]) -> Settled:
        try:
            return self._transact([job], alone=True)[0]
        except Exception as error:  # noqa: BLE001 - it goes to the job's caller
            return Settled(error=error)

    def _transact(self, jobs: Sequence[Job[Any]], *, alone: bool) -> list[Settled]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            transaction = Transaction(self._db, alone=alone)
            settled = [self._run(job, transaction) for job in jobs]
            transaction.rollups.write(self._db)
        except Exception as error:
            self._roll_back()
            raise self._translated(error) from error
        self._commit()
        return settled

    def _run(self, job: Job[Any], transaction: Transaction) -> Settled:
        """A job that refuses before it has written anything costs the others nothing."""
        written = self._db.total_changes()
        try:
            return Settled(job(transaction))
        except RingbackError as error:
            if isinstance(error, StoreUnavailable | StoreBroken) or self._db.total_changes() != written:
                raise
            return Settled(error=error)

    def _translated(self, error: Exception) -> Exception:
        translated = store_error(error) or error
        if isinstance(translated, StoreBroken):
            self.broken = translated
        return translated

    def _commit(self) -> None:
        try:
            self._db.execute("COMMIT")
        except apsw.Error as error:
            failure = commit_error(error)
            if isinstance(failure, StoreBroken):
                self.broken = failure
            self._roll_back()
            raise failure from error

    def _roll_back(self) -> None:
        if not self._db.in_transaction:
            return
        try:
            self._db.execute("ROLLBACK")
        except apsw.Error as error:
            self.broken = self.broken or StoreBroken(f"a transaction could not be undone: {error}")
            raise self.broken from error
