"""What any test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_IN_MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where the machine allows it: for thousands of commits that are not about the disk.

    A disk that is busy elsewhere takes a second for each.
    """
    if not os.access(_IN_MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=_IN_MEMORY, prefix="ringback-test-") as name:
        yield Path(name)
