"""What most tests of the engine stand on: receivers, a database file, a whole node in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engine.node import WholeNode, a_node
from tests.zoo import Zoo


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.fixture
async def node(database: Path) -> AsyncIterator[WholeNode]:
    async with a_node(database) as node:
        yield node
