"""Every list of configuration, walked in small pages."""

from __future__ import annotations

import pytest

from ringback.catalog import BUILT_IN
from ringback.model import Scope
from tests.api.conftest import Api


async def walk(api: Api, path: str, limit: int) -> list[object]:
    """The first field of every item: what names it."""
    seen: list[object] = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.data("GET", path, params={"Limit": limit, **cursor})
        assert len(page["Items"]) <= limit
        seen += [next(iter(item.values())) for item in page["Items"]]
        if page["NextCursor"] is None:
            return seen
        cursor = {"Cursor": page["NextCursor"]}


@pytest.mark.parametrize("limit", [1, 2, 5, 200])
async def test_each_page_goes_on_where_the_last_one_ended(api: Api, limit: int) -> None:
    businesses = [await api.business(f"b{number}") for number in range(5)]
    integrations = [(await api.integration(businesses[0]))["Id"] for _ in range(5)]
    for _ in range(4):
        await api.key(Scope.READ)

    assert await walk(api, "/business", limit) == businesses[::-1]
    assert set(await walk(api, f"/business/{businesses[0]}/integrations", limit)) == set(integrations)
    assert await walk(api, f"/business/{businesses[1]}/integrations", limit) == []
    assert len(set(await walk(api, "/keys", limit))) == 5
    assert await walk(api, "/event-types", limit) == sorted(BUILT_IN)
    own = ["call.own", "order.paid", "zoo.opened"]
    for name in own:
        await api.data("PUT", f"/business/{businesses[0]}/event-types/{name}", {"Description": "x"})
    assert await walk(api, f"/business/{businesses[0]}/event-types", limit) == sorted([*BUILT_IN, *own])


async def test_an_event_type_comes_with_its_schema_and_example(api: Api) -> None:
    items = (await api.data("GET", "/event-types"))["Items"]

    failed = next(item for item in items if item["EventType"] == "call.failed")
    assert failed["BuiltIn"] is True
    assert failed["Deprecated"] is False
    assert failed["Description"]
    assert BUILT_IN["call.failed"].problems(failed["Example"]) is None
    assert failed["Schema"]["type"] == "object"
