"""Lists in order of their names, walked while names come and go."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.api import cursors
from ringback.catalog import BUILT_IN
from ringback.errors import InvalidRequest
from tests.api.conftest import Api

WALK: object = ("event types", 7, [])


@pytest.mark.parametrize("seed", range(4))
async def test_event_types_are_seen_once_while_others_are_added_and_deleted(api: Api, seed: int) -> None:
    chance, business_id = Random(seed), await api.business()
    path = f"/business/{business_id}/event-types"
    own = [f"{letter}.own" for letter in "abcdefgh"]
    staying, leaving, coming = set(own[::2]), own[1::2], [f"{letter}.new" for letter in "abcdefgh"]
    for name in own:
        await api.data("PUT", f"{path}/{name}", {"Description": "x"})

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.data("GET", path, params={"Limit": chance.randint(1, 3), **cursor})
        seen += [item["EventType"] for item in page["Items"]]
        if page["NextCursor"] is None:
            break
        cursor = {"Cursor": page["NextCursor"]}
        if coming:
            await api.data("PUT", f"{path}/{coming.pop(chance.randrange(len(coming)))}", {"Description": "x"})
        if leaving:
            await api.data("DELETE", f"{path}/{leaving.pop(chance.randrange(len(leaving)))}")

    assert seen == sorted(set(seen))
    assert staying | BUILT_IN.keys() <= set(seen)


async def test_a_walk_goes_on_where_the_name_that_it_stopped_at_is_gone(api: Api) -> None:
    path = f"/business/{await api.business()}/event-types"
    await api.data("PUT", f"{path}/aa.own", {"Description": "x"})
    first = await api.data("GET", f"{path}?Limit=1")
    await api.data("DELETE", f"{path}/aa.own")

    rest = await api.data("GET", f"{path}?Limit=200&Cursor={first['NextCursor']}")

    assert [item["EventType"] for item in first["Items"]] == ["aa.own"]
    assert [item["EventType"] for item in rest["Items"]] == sorted(BUILT_IN)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
def test_a_cursor_brings_its_name_back_to_its_own_walk_alone(name: str) -> None:
    cursor = cursors.encode_name(name, WALK)

    assert cursors.decode_name(cursor, WALK) == name
    with pytest.raises(InvalidRequest):
        cursors.decode_name(cursor, ("event types", 8, []))


@given(st.text(max_size=60) | st.binary(max_size=40).map(bytes.hex))
def test_no_other_text_names_a_place(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        cursors.decode_name(text, WALK)

    assert [error.field for error in refusal.value.errors] == ["Cursor"]
