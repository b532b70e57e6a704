"""Receivers for what a server sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.zoo import Zoo


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo
