"""A process proves that it lives by a lock on a file of its own: the kernel frees it at any death."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ringback.errors import ConfigurationError, StoreUnavailable

SLOTS = range(1, 1024)


class NodeLocks:
    """The lock files beside a database, and those of them that this store holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, int] = {}

    def take_free(self) -> int:
        """The first node id whose lock was free, now held. Raises ConfigurationError, StoreUnavailable."""
        try:
            self._folder.mkdir(exist_ok=True)
            taken = next((slot for slot in SLOTS if slot not in self._held and self._take(slot)), None)
        except OSError as error:
            raise ConfigurationError(f"{self._folder}: {error.strerror}") from error
        if taken is None:
            raise StoreUnavailable(f"all {len(SLOTS)} nodes of this database are taken")
        return taken

    def is_free(self, slot: int) -> bool:
        """Nobody lives there. The lock is let go of at once."""
        if slot in self._held or not self._take(slot):
            return False
        self.let_go(slot)
        return True

    def let_go(self, slot: int) -> None:
        lock = self._held.pop(slot, None)
        if lock is not None:
            os.close(lock)

    def let_go_of_all(self) -> None:
        for slot in tuple(self._held):
            self.let_go(slot)

    def _take(self, slot: int) -> bool:
        lock = os.open(self._folder / f"{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._held[slot] = lock
        return True
