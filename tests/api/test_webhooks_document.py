"""The OpenAPI document tells receivers what they get, and it is what they get."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from ringback.catalog import BUILT_IN
from ringback.envelope import body_of, headers_of
from ringback.model import Message
from ringback.signing import SigningKey
from tests.api.conftest import Api

# Said apart from the parameters, as OpenAPI asks for.
_NOT_PARAMETERS = {"Content-Type", "User-Agent"}


@pytest.fixture
async def document(api: Api) -> Any:
    return (await api.client.get("/openapi.json")).json()


@pytest.fixture
async def webhooks(document: Any) -> dict[str, Any]:
    return {name: item["post"] for name, item in document["webhooks"].items()}


async def test_every_built_in_type_is_a_webhook(document: Any, webhooks: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert set(webhooks) == set(BUILT_IN)
    for name, operation in webhooks.items():
        assert operation["description"] == BUILT_IN[name].description
        assert operation["security"] == []
        assert {"200", "default"} <= set(operation["responses"])
        assert all(response["description"] for response in operation["responses"].values())


async def test_operations_have_names_that_no_call_has(document: Any, webhooks: dict[str, Any]) -> None:
    calls = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in webhooks.values()]
    assert len({*calls, *names}) == len(calls) + len(names)


async def test_the_body_s_schema_fits_its_example_and_what_is_sent(webhooks: dict[str, Any]) -> None:
    for name, operation in webhooks.items():
        content = operation["requestBody"]["content"]["application/json"]
        assert meta.is_valid(content["schema"])
        validator = Draft202012Validator(content["schema"], validate_formats=True)
        assert validator.is_valid(content["example"])
        assert content["example"]["Data"] == BUILT_IN[name].example
        assert list(content["schema"]["properties"]) == list(content["example"])
        for field in content["example"]:
            assert not validator.is_valid(
                {key: value for key, value in content["example"].items() if key != field}
            )
        assert not validator.is_valid({**content["example"], "EventType": "other.type"})
        assert not validator.is_valid({**content["example"], "Data": {}})


async def test_the_headers_are_those_that_are_sent(webhooks: dict[str, Any]) -> None:
    message = Message(event_id="evt_1", event_type="call.failed", business_id=1, timestamp=0, data=b"{}")
    keys = [SigningKey("a secret of our own")]
    with_all = headers_of(message, body_of(message), keys, 1, 0, "ringback/1", test=True, replay=True)
    with_least = headers_of(message, body_of(message), [], 1, 0, "ringback/1")

    for operation in webhooks.values():
        parameters = {one["name"]: one for one in operation["parameters"]}
        assert set(parameters) == {name for name, _ in with_all} - _NOT_PARAMETERS
        required = {name for name, one in parameters.items() if one["required"]}
        assert required == {name for name, _ in with_least} - _NOT_PARAMETERS
        assert all(one["in"] == "header" and one["description"] for one in parameters.values())


async def test_a_business_own_types_are_in_no_public_document(api: Api) -> None:
    business_id = await api.business()
    path = f"/business/{business_id}/event-types/acme.secret_project"
    await api.data("PUT", path, {"Description": "Only theirs."})

    assert "secret_project" not in (await api.client.get("/openapi.json")).text
