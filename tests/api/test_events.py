from __future__ import annotations

import json

import pytest

from ringback.model import DeliveryState
from tests.api.conftest import URL, Api


async def test_an_event_is_shown_with_its_deliveries_and_its_data_byte_for_byte(api: Api) -> None:
    business_id = await api.business()
    integration = (await api.integration(business_id))["Id"]
    data = b'{"n":12345678901234567890123,"f":1e400,"a":1,"a":2,"e":"\\u00e9"}'
    message, (delivery_id,) = await api.event(business_id, integration, data=data)
    await api.finish(message, delivery_id, integration, DeliveryState.DELIVERED)

    response = await api.call("GET", f"/business/{business_id}/events/{message.event_id}")

    assert b'"Data":' + data in response.content
    event = response.json()["Data"]
    assert event["EventId"] == message.event_id
    assert event["BusinessId"] == business_id
    assert event["Timestamp"] <= event["AcceptedAt"]
    assert (event["Test"], event["SchemaErrors"], event["NotSent"]) == (False, None, [])
    (delivery,) = event["Deliveries"]
    assert (delivery["IntegrationId"], delivery["State"]) == (integration, "delivered")
    listed = await api.data("GET", f"/business/{business_id}/deliveries")
    assert delivery["DeliveryId"] == listed["Items"][0]["Id"]


async def test_an_event_for_nobody_is_there_all_the_same(api: Api) -> None:
    business_id = await api.business()
    message, _ = await api.event(business_id)

    event = await api.data("GET", f"/business/{business_id}/events/{message.event_id}")

    assert (event["Deliveries"], event["DeliveryCount"]) == ([], 0)
    assert event["Data"] == json.loads(message.data)


async def test_events_are_listed_newest_first_without_their_data(api: Api) -> None:
    business_id = await api.business()
    messages = [(await api.event(business_id))[0] for _ in range(3)]

    items = (await api.data("GET", f"/business/{business_id}/events"))["Items"]

    assert [item["EventId"] for item in items] == [message.event_id for message in reversed(messages)]
    assert all("Data" not in item for item in items)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"EventType": "call.failed"}, 2),
        ({"EventType": "call.started"}, 0),
        ({"Test": "true"}, 0),
        ({"Since": "2020-01-01T00:00:00Z", "Until": "2999-01-01T00:00:00Z"}, 2),
        ({"Until": "2020-01-01T00:00:00Z"}, 0),
    ],
    ids=str,
)
async def test_filters_must_all_hold(api: Api, filters: dict[str, str], count: int) -> None:
    business_id = await api.business()
    await api.event(business_id)
    await api.event(business_id)

    page = await api.data("GET", f"/business/{business_id}/events", params=filters)

    assert len(page["Items"]) == count


async def test_a_walk_sees_each_row_once_while_rows_are_added(api: Api) -> None:
    business_id = await api.business()
    path = f"/business/{business_id}/events"
    there = [(await api.event(business_id))[0].event_id for _ in range(11)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await api.data("GET", path, params={"Limit": 3, **cursor})
        seen += [item["EventId"] for item in page["Items"]]
        await api.event(business_id)
        if page["NextCursor"] is None:
            break
        cursor = {"Cursor": page["NextCursor"]}

    assert seen == there[::-1]


async def test_a_cursor_belongs_to_its_list_its_filters_and_its_business(api: Api) -> None:
    ours, theirs = await api.business("a"), await api.business("b")
    for business_id in (ours, theirs):
        for _ in range(3):
            await api.event(business_id)
    params = {"Limit": 1, "EventType": "call.failed"}
    cursor = (await api.data("GET", f"/business/{ours}/events", params=params))["NextCursor"]

    followed = await api.call(
        "GET", f"/business/{ours}/events", params=params | {"Cursor": cursor, "Limit": 2}
    )
    assert followed.status_code == 200
    for path, others in (
        (f"/business/{theirs}/events", params),
        (f"/business/{ours}/deliveries", params),
        (f"/business/{ours}/events", {"Limit": 1}),
        (f"/business/{ours}/events", params | {"Test": "false"}),
    ):
        response = await api.call("GET", path, params={**others, "Cursor": cursor})
        assert response.status_code == 422, path
        assert response.json()["Errors"][0]["Field"] == "Cursor"


async def test_an_event_says_why_each_other_integration_got_nothing(api: Api) -> None:
    business_id = await api.business()
    all_of_it, paused, deleted = [(await api.integration(business_id))["Id"] for _ in range(3)]
    agents = {"Fields": {"Url": URL, "Events": ["agent.*"]}}
    other = (await api.integration(business_id, **agents))["Id"]
    await api.data("POST", f"/business/{business_id}/integrations/{paused}/pause")
    await api.data("DELETE", f"/business/{business_id}/integrations/{deleted}")
    message, _ = await api.event(business_id, all_of_it, paused)
    later = (await api.integration(business_id))["Id"]
    path = f"/business/{business_id}/events/{message.event_id}"
    told = (await api.data("GET", path))["NotSent"]

    assert {one["IntegrationId"]: one["Reason"] for one in told} == {
        later: "created_later",
        other: "not_subscribed",
        deleted: "deleted",
    }
    await api.data("DELETE", f"/business/{business_id}/integrations/{other}")
    await api.data("PATCH", f"/business/{business_id}/integrations/{all_of_it}", agents)
    assert (await api.data("GET", path))["NotSent"] == told
