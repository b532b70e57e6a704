"""What is refused, by which status and code, naming what is at fault."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest

from tests.api.publish.door import FAILED, Door, check_refusal, connect, event, new_door, read_reply
from tests.e2e.processes import API_KEY, Server


def test_an_unknown_type_is_refused_with_the_nearest_name(door: Door) -> None:
    reply = door.post(b'{"EventType":"call.complete","Data":{}}')

    check_refusal(reply, 422, "VALIDATION_FAILED")
    assert reply.faults == {"EventType": "is not a registered event type; did you mean call.completed?"}


def test_an_array_is_taken_whole_or_not_at_all_and_each_fault_is_named(door: Door) -> None:
    events = [
        event(0),
        event(1, EventType="call.exploded"),
        event(2),
        event(3, EventId="not an id"),
        event(4),
    ]
    by_form = door.publish_all(events)
    by_type = door.publish_all([*events[:3], event(3, EventType="nothing.like.it")])
    by_time = door.publish_all([event(0), event(1, Timestamp="yesterday")])

    check_refusal(by_form, 422, "VALIDATION_FAILED")
    assert list(by_form.faults) == ["[3].EventId"]
    assert list(by_type.faults) == ["[1].EventType", "[3].EventType"]
    assert list(by_time.faults) == ["[1].Timestamp"]
    assert door.stored() == []


SCHEMA_BREAKER = {"EventType": "call.failed", "Data": {"QueueId": "queue_1"}}


@pytest.mark.parametrize("validation", ["off", "warn"])
def test_a_payload_that_breaks_its_schema_is_taken_and_noted_where_the_business_says_so(
    server: Server, validation: str
) -> None:
    door = new_door(server, PayloadValidation=validation)

    accepted = door.post(json.dumps(SCHEMA_BREAKER).encode()).data

    noted = door.get(f"events/{accepted['EventId']}")["SchemaErrors"]
    assert (noted is None) is (validation == "off")
    assert validation == "off" or "AgentId is missing" in noted


def test_a_payload_that_breaks_its_schema_is_refused_where_the_business_says_so(server: Server) -> None:
    door = new_door(server, PayloadValidation="reject")
    example = next(
        one["Example"] for one in door.get("event-types")["Items"] if one["EventType"] == "call.failed"
    )

    reply = door.post(json.dumps(SCHEMA_BREAKER).encode())
    in_a_batch = door.publish_all([{"EventType": "call.failed", "Data": example}, SCHEMA_BREAKER])

    check_refusal(reply, 422, "VALIDATION_FAILED")
    assert "AgentId is missing" in reply.faults["Data"]
    assert list(in_a_batch.faults) == ["[1].Data"]
    assert door.stored() == []
    assert door.publish(Data=example)["Duplicate"] is False


def test_a_disabled_business_takes_nothing_until_it_is_enabled(door: Door) -> None:
    path = f"/api/v1/business/{door.business_id}"
    door.server.call("PATCH", path, {"Enabled": False})
    check_refusal(door.post(FAILED % b"{}"), 403, "BUSINESS_DISABLED")
    door.server.call("PATCH", path, {"Enabled": True})
    assert door.publish()["Duplicate"] is False
    door.server.call("DELETE", path)
    check_refusal(door.post(FAILED % b"{}"), 404, "NOT_FOUND")


def new_key(server: Server, *scopes: str, businesses: Sequence[int] = ()) -> str:
    form = {"FriendlyName": "test", "Scopes": scopes, "RestrictedBusinessIds": businesses}
    key: str = server.call("POST", "/api/v1/keys", form)["Key"]
    return key


def test_a_key_publishes_where_it_may_and_knows_of_no_other_business(door: Door, server: Server) -> None:
    door.key = new_key(server, "publish", businesses=[door.business_id])
    assert door.publish()["Duplicate"] is False

    door.key = new_key(server, "publish", businesses=[new_door(server).business_id])
    foreign = door.post(FAILED % b"{}")
    door.business_id = 999_999
    unknown = door.post(FAILED % b"{}")

    check_refusal(foreign, 404, "NOT_FOUND")
    check_refusal(unknown, 404, "NOT_FOUND")
    said = [re.sub(r"\d+", "…", reply.envelope["Message"]) for reply in (foreign, unknown)]
    assert said[0] == said[1], "a business of others is as one that is not there"


@pytest.mark.parametrize("scope", ["read", "manage"])
def test_a_key_without_the_scope_publishes_nothing(door: Door, server: Server, scope: str) -> None:
    door.key = new_key(server, scope)

    check_refusal(door.post(FAILED % b"{}"), 403, "PERMISSION_DENIED")
    assert door.stored() == []


@pytest.mark.parametrize(
    "line",
    [
        "Authorization:",
        "Authorization: Token",
        "Authorization: Token nobody-knows-this-key",
        f"Authorization: Basic {API_KEY}",
        f"Authorization: {API_KEY}",
        f"Authorization: Token {API_KEY}\xff",
        "X-Authorization: none",
    ],
)
def test_without_a_known_key_nothing_is_taken(door: Door, line: str) -> None:
    lines = [line] if line.startswith("Auth") else [line, "Authorization: "]

    reply = door.post(FAILED % b"{}", *lines)

    check_refusal(reply, 401, "INVALID_API_KEY")
    assert reply.headers["www-authenticate"] == "Token"
    assert API_KEY.encode() not in reply.body


def test_bearer_is_as_good_as_token(door: Door) -> None:
    assert door.post(FAILED % b"{}", f"authorization: BEARER {API_KEY}").status == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"])
def test_what_is_not_json_by_name_is_refused(door: Door, kind: str) -> None:
    check_refusal(door.post(FAILED % b"{}", f"Content-Type: {kind}"), 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;charset=UTF-8"]
)
def test_json_by_any_spelling_of_its_name_is_taken(door: Door, kind: str) -> None:
    assert door.post(FAILED % b"{}", f"Content-Type: {kind}").status == 202


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_verb_is_refused_with_those_there_are(door: Door, method: str) -> None:
    request = door.request(FAILED % b"{}").replace(b"POST", method.encode(), 1)
    with connect(door.server) as connection:
        connection.sendall(request)
        reply = read_reply(connection)

    check_refusal(reply, 405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "GET, POST"


def test_every_answer_has_a_request_id_of_its_own(door: Door) -> None:
    replies = [door.post(body) for body in (FAILED % b"{}", FAILED % b"{}", b"", b"{", b"[]")]

    assert len({reply.headers["x-request-id"] for reply in replies}) == len(replies)
