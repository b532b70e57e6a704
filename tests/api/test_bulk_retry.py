"""Many deliveries retried at once: one's fate is nothing to the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from ringback import ids
from ringback.model import DeliveryState
from ringback.store.port import AuditFilter
from tests.api.conftest import Api, row_id

_S = DeliveryState


@dataclass
class Shop:
    """A business, two integrations and a delivery of the first in each state that was asked for."""

    api: Api
    business_id: int
    integrations: list[str]

    async def in_state(self, state: DeliveryState, place: int = 0) -> str:
        lane = self.integrations[place]
        message, (delivery_id,) = await self.api.event(
            self.business_id, lane, direct=state is not DeliveryState.QUEUED
        )
        if state not in (_S.SENDING, _S.QUEUED):
            await self.api.finish(message, delivery_id, lane, state)
        return ids.public(ids.DELIVERY, delivery_id)

    async def retry(self, *given: str) -> list[Any]:
        path = f"/business/{self.business_id}/deliveries/retry"
        items: list[Any] = (await self.api.data("POST", path, {"Ids": list(given)}))["Items"]
        return items

    async def shown(self, delivery: str) -> Any:
        return await self.api.data("GET", f"/business/{self.business_id}/deliveries/{delivery}")

    async def faults(self, body: Any) -> list[str]:
        response = await self.api.call("POST", f"/business/{self.business_id}/deliveries/retry", body)
        assert response.status_code == 422, response.text
        return [error["Field"] for error in response.json()["Errors"]]


async def a_shop(api: Api) -> Shop:
    business_id = await api.business()
    return Shop(api, business_id, [(await api.integration(business_id))["Id"] for _ in range(2)])


@pytest.fixture
async def shop(api: Api) -> Shop:
    return await a_shop(api)


async def test_each_is_answered_in_the_order_it_was_asked_for(shop: Shop) -> None:
    other = await a_shop(shop.api)
    dead, sending = await shop.in_state(_S.DEAD), await shop.in_state(_S.SENDING)
    delivered, retrying = await shop.in_state(_S.DELIVERED, 1), await shop.in_state(_S.RETRYING)
    foreign = await other.in_state(_S.DEAD)

    asked = [delivered, foreign, sending, "dlv_zzzzzzzzzzzzz", "nonsense", dead, retrying]
    items = await shop.retry(*asked)

    assert [item["Id"] for item in items] == asked
    assert [(item["Retried"], item["State"], item["Code"]) for item in items] == [
        (True, "queued", None),
        (False, None, "NOT_FOUND"),
        (False, "sending", "CONFLICT"),
        (False, None, "NOT_FOUND"),
        (False, None, "NOT_FOUND"),
        (True, "queued", None),
        (True, "queued", None),
    ]
    assert [bool(item["Message"]) for item in items] == [not item["Retried"] for item in items]
    assert (await other.shown(foreign))["State"] == "dead"
    assert sorted(shop.api.woken) == sorted(row_id(one) for one in shop.integrations)


async def test_one_of_many_comes_to_what_it_would_have_come_to_alone(shop: Shop) -> None:
    alone, together = [
        {state: await shop.in_state(state) for state in (_S.DEAD, _S.DELIVERED, _S.RETRYING)}
        for _ in range(2)
    ]
    for one in alone.values():
        await shop.api.data("POST", f"/business/{shop.business_id}/deliveries/{one}/retry")
    await shop.retry(*together.values())

    rows = {one.delivery_id: one for one in await _rows(shop, [*alone.values(), *together.values()])}
    for state, one in alone.items():
        ours, theirs = rows[row_id(one)], rows[row_id(together[state])]
        assert (ours.state, ours.tries, ours.replay) == (theirs.state, theirs.tries, theirs.replay), state


async def _rows(shop: Shop, given: list[str]) -> Any:
    return await shop.api.store.deliveries(shop.business_id, [row_id(one) for one in given])


async def test_of_a_paused_integration_it_waits_held(shop: Shop) -> None:
    dead = await shop.in_state(_S.DEAD)
    await shop.api.data("POST", f"/business/{shop.business_id}/integrations/{shop.integrations[0]}/pause")

    (item,) = await shop.retry(dead)

    assert (item["Retried"], item["State"]) == (True, "held")


async def test_of_a_deleted_integration_nothing_is_retried(shop: Shop) -> None:
    dead = await shop.in_state(_S.DEAD)
    await shop.api.data("DELETE", f"/business/{shop.business_id}/integrations/{shop.integrations[0]}")

    (item,) = await shop.retry(dead)

    assert (item["Retried"], item["State"], item["Message"]) == (False, "dead", "its integration is deleted")


async def test_each_that_was_retried_has_its_line_in_the_audit_log(shop: Shop) -> None:
    dead, delivered = await shop.in_state(_S.DEAD), await shop.in_state(_S.DELIVERED)
    sending = await shop.in_state(_S.SENDING)

    await shop.retry(dead, sending, delivered)

    page = await shop.api.store.list_audit(shop.business_id, AuditFilter(action="delivery.retry"), 50, None)
    assert sorted(row.thing for row in page.items) == sorted([dead, delivered])


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"Ids": []}, ["Ids"]),
        ({"Ids": [f"dlv_{number}" for number in range(201)]}, ["Ids"]),
        ({"Ids": "dlv_1"}, ["Ids"]),
        ({"Ids": ["a", 1, "x" * 101]}, ["Ids[1]", "Ids[2]"]),
        ({"Ids": ["a", "b", "a", "c", "b"]}, ["Ids[2]", "Ids[4]"]),
        ({}, ["Ids"]),
        ({"Ids": ["a"], "Force": True}, ["Force"]),
        ([], ["Body"]),
    ],
    ids=["none", "too many", "text", "not ids", "repeated", "missing", "unknown field", "array"],
)
async def test_what_is_no_list_of_ids_is_refused_whole(shop: Shop, body: Any, fields: list[str]) -> None:
    assert await shop.faults(body) == fields


async def test_two_hundred_are_taken_at_once(shop: Shop) -> None:
    given = [await shop.in_state(_S.DEAD) for _ in range(200)]

    items = await shop.retry(*given)

    assert all(item["Retried"] for item in items)
    assert (
        len(
            (await shop.api.data("GET", f"/business/{shop.business_id}/deliveries?State=queued&Limit=200"))[
                "Items"
            ]
        )
        == 200
    )
