"""The body's format: chosen once, and shown as what it is."""

from __future__ import annotations

from typing import Any

import pytest

from ringback.model import DeliveryState
from tests.api.conftest import Api


async def path_of(api: Api, **fields: Any) -> str:
    business_id = await api.business()
    return f"/business/{business_id}/integrations/{(await api.integration(business_id, **fields))['Id']}"


@pytest.mark.parametrize("name", ["iqra", "standard", "cloudevents"])
async def test_a_format_is_chosen_once(api: Api, name: str) -> None:
    path = await path_of(api, Format=name)

    assert (await api.data("PATCH", path, {"Format": name, "Description": "x"}))["Format"] == name
    others = {"iqra", "standard", "cloudevents"} - {name}
    for other in sorted(others):
        response = await api.call("PATCH", path, {"Format": other})
        assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")
        assert name in response.json()["Message"]
    assert (await api.call("PATCH", path, {"Format": None})).status_code == (200 if name == "iqra" else 409)
    assert (await api.data("GET", path))["Format"] == name


async def test_without_a_word_it_is_the_default_and_frozen_too(api: Api) -> None:
    path = await path_of(api)

    assert (await api.call("PATCH", path, {"Format": "standard"})).status_code == 409
    assert (await api.call("PATCH", path, {"Format": None})).status_code == 200


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("standard", "application/json"), ("cloudevents", "application/cloudevents+json")],
)
async def test_an_attempt_shows_what_its_body_was_called(api: Api, name: str, content_type: str) -> None:
    path = await path_of(api, Format=name)
    integration = path.rpartition("/")[2]
    message, (delivery_id,) = await api.event(1, integration)
    await api.finish(message, delivery_id, integration, DeliveryState.DELIVERED)
    await api.data("DELETE", path)

    (shown,) = (await api.data("GET", "/business/1/deliveries"))["Items"]
    (attempt,) = (await api.data("GET", f"/business/1/deliveries/{shown['Id']}"))["Attempts"]

    assert attempt["RequestHeaders"]["Content-Type"] == content_type
