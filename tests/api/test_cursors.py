from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.api import cursors
from ringback.errors import InvalidRequest

WALK = ("events", 7, [("test", None)])


@given(st.integers(0, (1 << 63) - 1))
def test_a_cursor_brings_its_position_back(position: int) -> None:
    assert cursors.decode(cursors.encode(position, WALK), WALK) == position


@pytest.mark.parametrize(
    "other", [("events", 8, [("test", None)]), ("deliveries", 7, [("test", None)]), ("events", 7, [])]
)
def test_a_cursor_serves_its_own_walk_alone(other: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        cursors.decode(cursors.encode(5, WALK), other)

    assert refusal.value.errors[0].field == "Cursor"


@given(st.text(max_size=60) | st.text("ABCDabcd0123_-=", min_size=24, max_size=24))
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.decode(text, WALK)
