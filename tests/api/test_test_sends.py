from __future__ import annotations

from typing import Any

import pytest

from ringback.catalog import BUILT_IN
from tests.api.conftest import Api


async def path_of(api: Api) -> str:
    business_id = await api.business()
    return f"/business/{business_id}/integrations/{(await api.integration(business_id))['Id']}"


async def test_a_test_is_answered_with_the_whole_attempt_and_is_in_the_log(api: Api) -> None:
    path = await path_of(api)

    sent = await api.data("POST", f"{path}/test", {"EventType": "call.failed"})

    assert sent["Explanation"]["Title"] == "The test was delivered"
    assert (sent["Attempt"]["Status"], sent["Attempt"]["ResponseBody"]) == (200, "thanks")
    assert sent["Attempt"]["RequestHeaders"]["webhook-test"] == "true"
    delivery = await api.data("GET", f"/business/1/deliveries/{sent['DeliveryId']}")
    assert (delivery["Test"], delivery["State"], delivery["MaxAttempts"]) == (True, "delivered", 1)
    assert delivery["Attempts"] == [sent["Attempt"]]
    event = await api.data("GET", f"/business/1/events/{delivery['EventId']}")
    assert event["Test"] is True
    assert event["Data"] == BUILT_IN["call.failed"].example


async def test_its_data_goes_out_byte_for_byte(api: Api) -> None:
    data = b'{ "n" : 12345678901234567890123, "a":1,"a":2, "e":"\\u00e9" }'

    response = await api.call(
        "POST",
        f"{await path_of(api)}/test",
        content=b'{"EventType":"call.failed","Data":' + data + b"}",
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code == 200
    assert api.tested[0].data == data


@pytest.mark.parametrize("verb", ["pause", "disable"])
async def test_it_is_sent_while_held(api: Api, verb: str) -> None:
    path = await path_of(api)
    await api.data("POST", f"{path}/{verb}")

    assert (await api.call("POST", f"{path}/test", {"EventType": "call.failed"})).status_code == 200


async def test_a_disabled_business_sends_nothing(api: Api) -> None:
    path = await path_of(api)
    await api.data("PATCH", "/business/1", {"Enabled": False})

    response = await api.call("POST", f"{path}/test", {"EventType": "call.failed"})

    assert (response.status_code, response.json()["Code"]) == (403, "BUSINESS_DISABLED")
    assert api.tested == []


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "EventType"),
        ({"EventType": "call.fail"}, "EventType"),
        ({"EventType": "call.failed\u0000"}, "EventType"),
        ({"EventType": None}, "EventType"),
        ({"EventType": "call.failed", "Data": []}, "Data"),
        ({"EventType": "call.failed", "Data": "x"}, "Data"),
        ({"EventType": "call.failed", "EventId": "mine"}, "EventId"),
    ],
)
async def test_a_fault_is_named_and_nothing_is_sent(api: Api, form: Any, field: str) -> None:
    response = await api.call("POST", f"{await path_of(api)}/test", form)

    assert response.status_code == 422
    assert [one["Field"] for one in response.json()["Errors"]] == [field]
    assert api.tested == []


async def test_the_nearest_type_is_suggested(api: Api) -> None:
    response = await api.call("POST", f"{await path_of(api)}/test", {"EventType": "call.fail"})

    assert "call.failed" in response.json()["Errors"][0]["Message"]


async def test_its_data_is_bounded_like_any_event_s(api: Api) -> None:
    form = {"EventType": "call.failed", "Data": {"x": "y" * api.context.max_event_bytes}}

    response = await api.call("POST", f"{await path_of(api)}/test", form)

    assert (response.status_code, response.json()["Code"]) == (413, "PAYLOAD_TOO_LARGE")
