"""Whatever is sent, the answer is a clear refusal in the envelope: never a 5xx, never a change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.calls import CALLS, Call, make_tenant
from tests.api.conftest import OPERATOR, Api

JSON = {"Content-Type": "application/json"}
WITH_BODY = [call for call in CALLS if call.body is not None]
ACTIONS = [call for call in CALLS if call.body is None and call.method in ("POST", "DELETE")]

BODIES: dict[str, tuple[bytes, set[int]]] = {
    "empty": (b"", {400}),
    "cut": (b'{"Name":', {400}),
    "not UTF-8": (b'{"Name":"\xff\xfe"}', {400}),
    "UTF-16": ('{"Name":"x"}'.encode("utf-16"), {400}),
    "byte order mark": (b'\xef\xbb\xbf{"Name":"x"}', {400}),
    "NaN": (b'{"Name":NaN}', {400}),
    "twice": (b'{"Name":"x","Name":"y"}', {400}),
    "half a pair": (b'{"Name":"\\ud800"}', {400}),
    "half a pair as a key": (b'{"\\ud800":1}', {400}),
    "half a pair in Data": (b'{"EventType":"call.failed","Data":{"x":"\\udc00"}}', {400}),
    "deep": (b'{"Data":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, {400}),
    "deep in Data": (b'{"EventType":"call.failed","Data":' + b'{"a":' * 65 + b"1" + b"}" * 66, {400}),
    "very deep": (b"[" * 500_000, {400}),
    "null": (b"null", {422}),
    "array": (b"[]", {422}),
    "text": (b'"x"', {422}),
    "huge number": (b"9" * 100_000, {422}),
    "numbers": (b'{"TimeoutSeconds":1e999,"Version":' + b"9" * 5_000 + b',"Name":1e-999}', {422}),
    "wrong kinds": (b'{"Name":{},"FriendlyName":[],"Fields":1,"Scopes":{},"EventType":true}', {422}),
    "nulls": (b'{"Name":null,"FriendlyName":null,"Fields":null,"Scopes":null,"EventType":null}', {422}),
    "NUL": (b'{"Name":"\\u0000","FriendlyName":"\\u0000","EventType":"\\u0000"}', {422}),
    "unknown": (b'{"__proto__":{},"\xf0\x9f\x98\x80":1,"":2}', {422}),
    "many unknown": (json.dumps({f"f{number}": 1 for number in range(10_000)}).encode(), {422}),
    "too large": (b'{"Name":"' + b"x" * (1 << 20) + b'"}', {413}),
}


def check_envelope(response: Any, statuses: set[int]) -> None:
    assert response.status_code in statuses, response.text[:500]
    envelope = response.json()
    assert (envelope["Success"], envelope["Data"]) == (False, None)
    assert envelope["Code"]
    assert envelope["Message"]
    assert response.headers["x-request-id"].startswith("req_")
    assert len(response.content) < 10_000
    if response.status_code == 422:
        assert all(fault["Field"] and fault["Message"] for fault in envelope["Errors"])


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
async def test_a_bad_body_is_refused(api: Api, call: Call) -> None:
    path = (await make_tenant(api)).path(call)

    for name, (body, statuses) in BODIES.items():
        if name == "empty" and call.may_be_empty:
            continue
        check_envelope(await api.call(call.method, path, content=body, headers=JSON), statuses)


@pytest.mark.parametrize("call", WITH_BODY, ids=str)
async def test_a_body_that_is_not_json_by_name_is_refused(api: Api, call: Call) -> None:
    path, body = (await make_tenant(api)).path(call), json.dumps(call.body).encode()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = await api.call(call.method, path, content=body, headers={"Content-Type": kind})
        check_envelope(response, {415})


@pytest.mark.parametrize("call", ACTIONS, ids=str)
async def test_an_action_takes_no_body_but_an_empty_object(api: Api, call: Call) -> None:
    path = (await make_tenant(api)).path(call)

    for body in (b"{", b"[]", b'{"x":1}', b"null", b"\xff", b"[" * 100_000):
        check_envelope(await api.call(call.method, path, content=body, headers=JSON), {400, 422})


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_a_query_that_a_call_does_not_take_is_refused(api: Api, call: Call) -> None:
    path = (await make_tenant(api)).path(call)

    for query in ("x=1", "Limit=1&Limit=2", "%00=%00", "%ff", "Cursor=%ff%00", "=", "Limit="):
        check_envelope(await api.call(call.method, f"{path}?{query}", call.body), {422})


@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/business/", "/business/1/", "/business/1/integrations/x/y"]
)
async def test_a_path_that_is_none_is_not_found(api: Api, path: str) -> None:
    check_envelope(await api.call("GET", path), {404})


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/business", "GET, POST"),
        ("/business/1", "DELETE, GET, PATCH"),
        ("/keys", "GET, POST"),
        ("/business/1/events", "GET, POST"),
        ("/business/1/integrations/x", "DELETE, GET, PATCH"),
        ("/business/1/integrations/x/pause", "POST"),
    ],
)
async def test_a_verb_that_a_path_does_not_take_is_refused_with_those_it_takes(
    api: Api, path: str, allowed: str
) -> None:
    response = await api.call("PUT", path, {})

    check_envelope(response, {405})
    assert response.json()["Code"] == "METHOD_NOT_ALLOWED"
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "value", ["", "Token", "Basic x", f"Token {OPERATOR} x", f"{OPERATOR}", "Token \x7f", "x" * 60_000]
)
async def test_an_odd_authorization_is_no_key(api: Api, value: str) -> None:
    response = await api.call("GET", "/business", key=None, headers={"Authorization": value})

    check_envelope(response, {401})
    assert response.headers["www-authenticate"] == "Token"
    assert OPERATOR not in response.text


async def test_an_internal_error_says_nothing_and_keeps_the_envelope(api: Api) -> None:
    await api.store.close()

    response = await api.call("GET", "/business")

    check_envelope(response, {500, 503})
    assert "sqlite" not in response.text.lower()


async def test_every_answer_has_its_own_request_id(api: Api) -> None:
    answers = [
        await api.call("GET", "/business"),
        await api.call("GET", "/business/9"),
        await api.call("GET", "/nothing"),
        await api.call("PUT", "/business", {}),
        await api.call("GET", "/business", key=None),
    ]

    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
