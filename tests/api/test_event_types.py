"""A business' own event types: registered, subscribed to, tested, published, deprecated, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from ringback.catalog import BUILT_IN
from ringback.store.port import AuditFilter
from tests.api.conftest import URL, Api

ORDER = {
    "Description": "An order was paid in full.",
    "Schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["OrderId"],
        "properties": {"OrderId": {"type": "string"}, "Total": {"type": "number"}},
    },
    "Example": {"OrderId": "1042", "Total": 12.5},
}


FORM = {"Type": "webhook", "FriendlyName": "x"}


class Types:
    def __init__(self, api: Api, business_id: int) -> None:
        self.api = api
        self.path = f"/business/{business_id}/event-types"

    async def put(self, name: str = "order.paid", **fields: Any) -> Any:
        return await self.api.data("PUT", f"{self.path}/{name}", {**ORDER, **fields})

    async def refused(self, name: str = "order.paid", **fields: Any) -> tuple[int, dict[str, str]]:
        response = await self.api.call("PUT", f"{self.path}/{name}", {**ORDER, **fields})
        errors = response.json().get("Errors", [])
        return response.status_code, {error["Field"]: error["Message"] for error in errors}

    async def listed(self) -> dict[str, Any]:
        page = await self.api.data("GET", self.path, params={"Limit": 200})
        return {item["EventType"]: item for item in page["Items"]}


@pytest.fixture
async def types(api: Api) -> Types:
    return Types(api, await api.business())


async def test_a_type_is_answered_and_listed_as_it_was_put(types: Types) -> None:
    put = await types.put()

    assert put == {"EventType": "order.paid", **ORDER, "BuiltIn": False, "Deprecated": False}
    listed = await types.listed()
    assert listed["order.paid"] == put
    assert set(listed) == {*BUILT_IN, "order.paid"}
    assert listed["call.completed"]["BuiltIn"] is True
    assert "order.paid" not in str(await types.api.data("GET", "/event-types"))


async def test_what_is_left_out_or_null_is_the_default(types: Types) -> None:
    for body in ({}, {"Schema": None, "Example": None, "Deprecated": None}):
        put = await types.api.data("PUT", f"{types.path}/order.paid", {"Description": "Paid.", **body})
        assert (put["Schema"], put["Example"], put["Deprecated"]) == ({"type": "object"}, {}, False)


async def test_putting_again_replaces_the_whole(types: Types) -> None:
    await types.put(Deprecated=True)
    assert (await types.listed())["order.paid"]["Deprecated"] is True

    await types.api.data("PUT", f"{types.path}/order.paid", {"Description": "Other."})

    replaced = (await types.listed())["order.paid"]
    assert (replaced["Description"], replaced["Deprecated"]) == ("Other.", False)
    assert replaced["Schema"] == {"type": "object"}


async def test_it_can_be_subscribed_to_and_tested_from_its_answer_on(types: Types) -> None:
    fields = {"Url": URL, "Events": ["order.paid", "order.*"]}
    form = {**FORM, "Fields": fields}
    refused = await types.api.call("POST", "/business/1/integrations", form)
    assert refused.status_code == 422

    await types.put()
    made = await types.api.data("POST", "/business/1/integrations", form)
    await types.api.data("POST", f"/business/1/integrations/{made['Id']}/test", {"EventType": "order.paid"})

    assert types.api.tested[0].data == b'{"OrderId":"1042","Total":12.5}'


async def test_a_misspelt_name_is_answered_with_the_nearest_of_its_own(types: Types) -> None:
    await types.put("order.shipped")
    form = {**FORM, "Fields": {"Url": URL, "Events": ["order.shiped"]}}

    response = await types.api.call("POST", "/business/1/integrations", form)

    assert "did you mean order.shipped?" in response.json()["Errors"][0]["Message"]


async def test_a_deleted_type_is_gone_and_integrations_keep_its_name(types: Types) -> None:
    await types.put()
    made = await types.api.integration(1, Fields={"Url": URL, "Events": ["order.paid"]})

    assert await types.api.data("DELETE", f"{types.path}/order.paid") is None

    assert set(await types.listed()) == set(BUILT_IN)
    kept = await types.api.data("GET", f"/business/1/integrations/{made['Id']}")
    assert kept["Fields"]["Events"] == ["order.paid"]
    moved = {"Fields": {**kept["Fields"], "Url": f"{URL}/new"}}
    await types.api.data("PATCH", f"/business/1/integrations/{made['Id']}", moved)
    assert (await types.api.call("POST", "/business/1/integrations", {**FORM, **moved})).status_code == 422
    assert (await types.api.call("DELETE", f"{types.path}/order.paid")).status_code == 404
    await types.put()
    view = types.api.context.live.current.businesses[1]
    assert len(view.match("order.paid")) == 1


async def test_a_built_in_type_can_be_neither_changed_nor_deleted(types: Types) -> None:
    assert (await types.refused("call.completed"))[0] == 409
    assert (await types.api.call("DELETE", f"{types.path}/call.completed")).status_code == 409
    assert (await types.put("call.completed.late"))["EventType"] == "call.completed.late"


@pytest.mark.parametrize("name", ["order", "Order.Paid", "order.*", "order..paid", "%00", "é.é", "a." * 60])
async def test_a_name_that_is_none_is_named(types: Types, name: str) -> None:
    status, faults = await types.refused(name)
    assert (status, set(faults)) == (422, {"EventType"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"Description": None}, "Description"),
        ({"Description": ""}, "Description"),
        ({"Description": "x" * 501}, "Description"),
        ({"Schema": []}, "Schema"),
        ({"Schema": True}, "Schema"),
        ({"Schema": {"type": "strin"}}, "Schema"),
        ({"Schema": {"$ref": "https://example.com/x.json"}}, "Schema"),
        ({"Schema": {"description": "x" * 70_000}}, "Schema"),
        ({"Example": {"OrderId": 3}}, "Example"),
        ({"Example": [1]}, "Example"),
        ({"Deprecated": "yes"}, "Deprecated"),
        ({"BuiltIn": True}, "BuiltIn"),
        ({"EventType": "order.paid"}, "EventType"),
    ],
    ids=str,
)
async def test_what_cannot_be_used_is_refused_by_name(types: Types, fields: Any, field: str) -> None:
    status, faults = await types.refused(**fields)

    assert (status, set(faults)) == (422, {field})
    assert set(await types.listed()) == set(BUILT_IN)


async def test_the_place_in_a_schema_is_told(types: Types) -> None:
    _, faults = await types.refused(Schema={"properties": {"a/b": {"items": {"pattern": "(?=x)"}}}})

    assert faults["Schema"].startswith("at /properties/a~1b/items/pattern: is no pattern that can be used")


async def test_numbers_that_not_every_reader_knows_are_refused(types: Types) -> None:
    for field in ("Schema", "Example"):
        body = f'{{"Description":"x","{field}":{{"maximum":1{"0" * 500}}}}}'
        response = await types.api.call(
            "PUT", f"{types.path}/order.paid", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 422
        assert [error["Field"] for error in response.json()["Errors"]] == [field]


async def test_each_change_is_audited(types: Types) -> None:
    await types.put()
    await types.put()
    await types.api.data("DELETE", f"{types.path}/order.paid")

    page = await types.api.store.list_audit(1, AuditFilter(), 50, None)

    lines = [(row.action, row.thing) for row in page.items if row.action.startswith("event_type")]
    assert lines == [("event_type.delete", "order.paid"), *[("event_type.save", "order.paid")] * 2]
