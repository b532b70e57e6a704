"""Whose turn it is to write, among the processes on one database.

SQLite alone has a waiting writer sleep and try again, longer each time: a process that commits all the
time starves another for half a second. Here the kernel wakes who waits as soon as the lock is free, and
frees it at any death. It is a courtesy, no protection: SQLite's own locks remain, and programs that know
nothing of turns may write, too.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Turn:
    """Belongs to the thread that writes. A process that is stopped during its turn stops the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None
        self._awaited = False

    @property
    def awaited(self) -> bool:
        """Whether it is another's turn, and this process waits for its own."""
        return self._awaited

    @contextmanager
    def taken(self) -> Iterator[None]:
        self._awaited = True
        with suppress(OSError):
            fcntl.flock(self._opened(), fcntl.LOCK_EX)
        self._awaited = False
        try:
            yield
        finally:
            if self._lock is not None:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _opened(self) -> int:
        """Raises OSError."""
        if self._lock is None:
            self._folder.mkdir(exist_ok=True)
            path = self._folder / "writer.lock"
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._lock
