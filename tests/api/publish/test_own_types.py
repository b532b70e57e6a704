"""A business' own event types at the door of a running server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.publish.door import Door
from tests.zoo import Zoo

SCHEMA = {"required": ["OrderId"], "properties": {"OrderId": {"type": "string"}}}


def register(door: Door, name: str = "order.paid", **fields: Any) -> None:
    path = f"/api/v1/business/{door.business_id}/event-types/{name}"
    door.server.call(
        "PUT", path, {"Description": "x", "Schema": SCHEMA, "Example": {"OrderId": "1"}, **fields}
    )


def paid(**data: Any) -> dict[str, Any]:
    return {"EventType": "order.paid", "Data": data}


def set_validation(door: Door, validation: str) -> None:
    door.server.call("PATCH", f"/api/v1/business/{door.business_id}", {"PayloadValidation": validation})


def test_it_is_published_from_its_answer_on_and_delivered(door: Door, zoo: Zoo, heard: str) -> None:
    assert set(door.publish_all([paid(OrderId="1")]).faults) == {"[0].EventType"}
    register(door)
    assert door.publish(**paid(OrderId="1"))["Deliveries"] == 1
    (request,) = zoo.wait_for(1, heard)
    assert b'"EventType":"order.paid"' in request.body


def test_once_deleted_it_is_refused_and_what_was_published_stays(door: Door) -> None:
    register(door)
    kept = door.publish(**paid(OrderId="1"))["EventId"]
    door.server.call("DELETE", f"/api/v1/business/{door.business_id}/event-types/order.paid")
    assert set(door.publish_all([paid(OrderId="2")]).faults) == {"[0].EventType"}
    assert door.stored() == [kept]


def test_a_deprecated_one_is_published_as_before(door: Door) -> None:
    register(door, Deprecated=True)
    assert door.publish(**paid(OrderId="1"))["Duplicate"] is False


@pytest.mark.parametrize(("validation", "kept"), [("off", None), ("warn", "OrderId is missing")])
def test_a_payload_that_breaks_its_schema_is_treated_as_the_business_says(
    door: Door, validation: str, kept: str | None
) -> None:
    register(door)
    set_validation(door, validation)
    event_id = door.publish(**paid())["EventId"]
    assert door.get(f"events/{event_id}")["SchemaErrors"] == kept


def test_a_payload_that_would_take_long_to_check_is_refused_where_checks_are_asked_for(door: Door) -> None:
    register(door, Schema={"additionalProperties": {"items": {"anyOf": [{"minimum": n} for n in range(99)]}}})
    set_validation(door, "reject")
    assert door.publish(**paid(Numbers=[7] * 500))["Duplicate"] is False
    reply = door.publish_all([paid(Numbers=[7] * 50_000)])
    assert "too large to be checked" in reply.faults["[0].Data"]


def test_of_hundreds_of_unknown_names_the_first_faults_are_told(door: Door) -> None:
    unknown = [{"EventType": "call.faild", "Data": {}}] * 1_000
    assert len(door.publish_all(unknown).faults) == 20
    for number in range(30):
        register(door, f"order.n{number}")
    reply = door.publish_all([{"EventType": f"ordre.n{number}", "Data": {}} for number in range(1_000)])
    assert len(reply.faults) == 20
    assert "did you mean order.n3?" in reply.faults["[3].EventType"]
    assert len(door.publish_all([{"EventType": "zzz", "Data": {}}]).faults["[0].EventType"]) < 600


def test_a_batch_of_own_types_is_accepted_whole_and_in_order(door: Door) -> None:
    register(door)
    events = [{**paid(OrderId=str(number)), "EventId": f"evt_{number}"} for number in range(400)]
    assert [one["EventId"] for one in door.publish_all(events).data] == [one["EventId"] for one in events]
    events[333]["Data"] = {}
    set_validation(door, "reject")
    assert set(door.publish_all(events).faults) == {"[333].Data"}
