"""`python -m tests.torture.stepped …`: ringback on a clock that is off by what a shared file says.

The file holds one number of nanoseconds, eight bytes; whoever writes it steps the running server's clock.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from pathlib import Path

VARIABLE = "STEPPED_CLOCK"
_NANOSECONDS = struct.Struct("q")


class SteppedClock:
    """The file, from outside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.step_to(0.0)

    def step_to(self, seconds: float) -> None:
        """So far off the true time, at once."""
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(_NANOSECONDS.pack(int(seconds * 1e9)))


def _follow(path: str) -> None:
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), _NANOSECONDS.size, access=mmap.ACCESS_READ)
    true_ns = time.time_ns
    time.time_ns = lambda: true_ns() + _NANOSECONDS.unpack_from(shared)[0]
    time.time = lambda: time.time_ns() / 1e9


if __name__ == "__main__":
    _follow(os.environ.pop(VARIABLE))
    from ringback.cli.main import main

    sys.exit(main())
