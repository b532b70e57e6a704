"""Identifiers survive the way out and back, and sort by time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.ids import EVENT_ID_RANDOM_BYTES, born_ms, event_id, first_id, internal, public

row_ids = st.integers(1, (1 << 63) - 1)
NOW = 1_795_435_200_000


@given(row_ids)
def test_there_and_back(row_id: int) -> None:
    assert internal("dlv", public("dlv", row_id)) == row_id


@given(row_ids, row_ids)
def test_text_sorts_as_numbers_do(one: int, other: int) -> None:
    assert (public("dlv", one) < public("dlv", other)) == (one < other)


@given(row_ids)
def test_public_ids_are_plain(row_id: int) -> None:
    assert re.fullmatch(r"intg_[0-9a-hjkmnp-tv-z]{13}", public("intg", row_id))


def test_an_id_of_another_kind_is_none_of_ours() -> None:
    assert internal("dlv", public("intg", 7)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlv",
        "dlv_",
        "dlv_0",
        "dlv_0000000000000",
        "dlv_00000000000011",
        "dlv_000000000000I",
        "dlv_000000000000u",
        "dlv_zzzzzzzzzzzzz",
        "DLV_0000000000001",
        "dlv_0000000000001 ",
        "dlv_00000000٠0001",
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert internal("dlv", text) is None


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_not(text: str) -> None:
    found = internal("dlv", f"dlv_{text}")

    assert found is None or public("dlv", found) == f"dlv_{text}"


@given(st.integers(0, (1 << 43) - 1), st.integers(0, (1 << 20) - 1))
def test_an_id_knows_its_birth(ms: int, counter: int) -> None:
    assert born_ms(first_id(ms) + counter) == ms


@given(st.binary(min_size=EVENT_ID_RANDOM_BYTES, max_size=EVENT_ID_RANDOM_BYTES))
def test_event_ids_are_valid_ones(randomness: bytes) -> None:
    assert re.fullmatch(r"evt_[0-9a-hjkmnp-tv-z]{26}", event_id(NOW, randomness))


@given(st.integers(0, 1 << 44), st.integers(0, 1 << 44), st.binary(min_size=16, max_size=16))
def test_event_ids_sort_by_time(one: int, other: int, randomness: bytes) -> None:
    if one < other:
        assert event_id(one, randomness) < event_id(other, randomness)


def test_randomness_makes_the_difference() -> None:
    assert event_id(NOW, b"a" * 16) != event_id(NOW, b"b" * 16)
