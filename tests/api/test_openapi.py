"""The OpenAPI document is whole: every call is in it, with what it takes, its answers and examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from ringback.api.answers import STATUS, Code
from tests.api.calls import CALLS, make_tenant
from tests.api.conftest import Api

VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
async def document(api: Api) -> Any:
    response = await api.client.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for verb in VERBS:
            if verb in item:
                yield verb, path, item[verb]


def general(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.removeprefix("/api/v1"))


async def test_the_calls_under_test_are_all_there_are(document: Any) -> None:
    documented = {(verb.upper(), general(path)) for verb, path, _ in operations(document)}

    tested = {(call.method, general(call.path)) for call in CALLS}
    apart = {
        ("POST", "/business/{}/events"),
        ("POST", "/session"),
        ("POST", "/session/first"),
        ("POST", "/session/confirm"),
        ("GET", "/session"),
        ("PATCH", "/session"),
        ("DELETE", "/session"),
        ("GET", "/business/{}/stream"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }
    assert documented == tested | apart


async def test_every_call_is_described_and_has_its_error_answers_with_examples(document: Any) -> None:
    for verb, path, operation in operations(document):
        assert operation["description"], path
        if not path.startswith("/api/v1"):
            assert "security" not in operation
            continue
        assert operation.get("security", []) == _security(verb, path)
        responses = operation["responses"]
        assert {"401", "403", "422", "500", "503"} <= set(responses), path
        assert ("404" in responses) == ("{" in path), path
        assert {"400", "413", "415"} <= set(responses) or "requestBody" not in operation, path
        for status, response in responses.items():
            if "text/event-stream" in response["content"]:
                continue
            content = response["content"]["application/json"]
            if status >= "400":
                assert content["examples"], (verb, path, status)
                assert content["schema"] == {"$ref": "#/components/schemas/Failure"}


def _security(verb: str, path: str) -> list[Any]:
    """A key or a session; who signs in has neither yet."""
    if verb == "post" and path in ("/api/v1/session", "/api/v1/session/first"):
        return []
    return [{"ApiKey": []}, {"Session": []}]


async def test_examples_of_errors_are_what_is_answered(document: Any) -> None:
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/json", {})
            for name, example in content.get("examples", {}).items():
                assert example["value"]["Code"] == name
                assert STATUS[Code(name)] == int(status)


async def test_operations_have_names_of_their_own(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


async def test_every_field_is_pascal_case(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        for name in schema.get("properties", {}):
            assert re.fullmatch(r"[A-Z][A-Za-z0-9]*|[2-5]xx", name), name


async def test_the_publish_call_takes_one_event_or_many(document: Any) -> None:
    publish = document["paths"]["/api/v1/business/{BusinessId}/events"]["post"]

    one, many = publish["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert one == many["items"] == {"$ref": "#/components/schemas/PublishEvent"}
    assert (many["minItems"], many["maxItems"]) == (1, 1000)
    assert "202" in publish["responses"]


async def test_what_is_answered_is_what_is_documented(api: Api, document: Any) -> None:
    tenant = await make_tenant(api)
    paths = {general(path): path for path in document["paths"]}
    for call in CALLS:
        response = await api.call(call.method, tenant.path(call), call.body)
        operation = document["paths"][paths[general(call.path)]][call.method.lower()]
        documented = operation["responses"][str(response.status_code)]
        schema = documented["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": document["components"]})
        assert [error.message for error in validator.iter_errors(response.json())] == [], str(call)


async def test_the_document_has_a_page_to_read_it_on(api: Api) -> None:
    response = await api.client.get("/docs")

    assert response.status_code == 200
    assert "/openapi.json" in response.text
