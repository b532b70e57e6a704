"""Which file was opened: a path can come to name another one, or none, while the first is still in use."""

from __future__ import annotations

import os
from pathlib import Path

from ringback.errors import StoreBroken, StoreUnavailable


class FileIdentity:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened = _device_and_inode(path)

    def check(self) -> None:
        """Raises StoreBroken where what is written from now on would be in no file that anyone finds."""
        if _device_and_inode(self._path) != self._opened:
            raise StoreBroken("the database file was moved or deleted")


def _device_and_inode(path: Path) -> tuple[int, int] | None:
    """None where there is no file. Raises StoreUnavailable."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    return status.st_dev, status.st_ino
