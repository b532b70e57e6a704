from __future__ import annotations

from typing import Any

import pytest

from ringback.model import DeliveryState, Message
from tests.api.conftest import Api

_S = DeliveryState


class Log:
    """One business with an integration, and deliveries in every state."""

    def __init__(self, api: Api, business_id: int, integration: str) -> None:
        self.api, self.business_id, self.integration = api, business_id, integration
        self.path = f"/business/{business_id}/deliveries"
        self.events: dict[str, Message] = {}

    async def fill(self) -> None:
        for state in (_S.DELIVERED, _S.DEAD, _S.RETRYING):
            message, (delivery_id,) = await self.api.event(self.business_id, self.integration)
            await self.api.finish(message, delivery_id, self.integration, state)
            self.events[state] = message
        self.events["sending"], _ = await self.api.event(self.business_id, self.integration)
        self.events["queued"], _ = await self.api.event(self.business_id, self.integration, direct=False)

    async def listed(self, **filters: Any) -> list[Any]:
        page = await self.api.data("GET", self.path, params=filters)
        items: list[Any] = page["Items"]
        return items

    async def one(self, state: str) -> Any:
        (found,) = await self.listed(State=state)
        return found


@pytest.fixture
async def log(api: Api) -> Log:
    business_id = await api.business()
    log = Log(api, business_id, (await api.integration(business_id))["Id"])
    await log.fill()
    return log


async def test_deliveries_are_listed_newest_first(log: Log) -> None:
    states = [delivery["State"] for delivery in await log.listed()]

    assert states == ["queued", "sending", "retrying", "dead", "delivered"]


async def test_a_delivery_says_what_happened(log: Log) -> None:
    retrying = await log.one("retrying")

    assert retrying.pop("Id").startswith("dlv_")
    assert retrying.pop("CreatedAt") < retrying.pop("NextAttemptAt")
    assert retrying == {
        "EventId": log.events["retrying"].event_id,
        "EventType": "call.failed",
        "IntegrationId": log.integration,
        "IntegrationName": "Production",
        "State": "retrying",
        "AttemptCount": 1,
        "MaxAttempts": 6,
        "LastStatus": 500,
        "LastFailureClass": "server_500",
        "Test": False,
        "Replay": False,
        "FinishedAt": None,
    }


async def test_a_finished_delivery_has_no_next_attempt(log: Log) -> None:
    delivered = await log.one("delivered")

    assert delivered["NextAttemptAt"] is None
    assert delivered["FinishedAt"].endswith("Z")
    assert (delivered["LastStatus"], delivered["LastFailureClass"]) == (200, None)


@pytest.mark.parametrize(
    ("filters", "states"),
    [
        ({"State": "dead"}, ["dead"]),
        ({"State": "queued"}, ["queued"]),
        ({"State": "held"}, []),
        ({"Status": "500"}, ["retrying", "dead"]),
        ({"FailureClass": "server_500", "State": "dead"}, ["dead"]),
        ({"FailureClass": "gone_410"}, []),
        ({"EventType": "call.failed", "State": "sending"}, ["sending"]),
        ({"EventType": "call.started"}, []),
        ({"Test": "true"}, []),
        ({"Test": "false", "Status": "200"}, ["delivered"]),
        ({"Since": "2020-01-01T00:00:00Z", "State": "dead"}, ["dead"]),
        ({"Since": "9999-01-01T00:00:00Z"}, []),
        ({"Since": "0001-01-01T00:00:00Z", "Until": "9999-12-31T23:59:59Z", "State": "dead"}, ["dead"]),
        ({"Until": "2020-01-01T00:00:00+01:00"}, []),
        ({"IntegrationId": "intg_0000000000001"}, []),
        ({"EventId": "evt_unknown"}, []),
    ],
    ids=str,
)
async def test_filters_must_all_hold(log: Log, filters: dict[str, str], states: list[str]) -> None:
    assert [delivery["State"] for delivery in await log.listed(**filters)] == states


async def test_a_delivery_is_found_by_its_event_and_its_integration(log: Log) -> None:
    event_id = log.events["dead"].event_id

    (found,) = await log.listed(EventId=event_id, IntegrationId=log.integration)

    assert (found["EventId"], found["State"]) == (event_id, "dead")


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"State": "failed"}, "State"),
        ({"Status": "99"}, "Status"),
        ({"Status": "ok"}, "Status"),
        ({"FailureClass": "timeout"}, "FailureClass"),
        ({"Test": "perhaps"}, "Test"),
        ({"Since": "yesterday"}, "Since"),
        ({"Until": "2026-01-01T00:00:00"}, "Until"),
        ({"IntegrationId": "crm"}, "IntegrationId"),
        ({"EventId": "a b"}, "EventId"),
        ({"EventType": "x" * 101}, "EventType"),
        ({"Limit": "0"}, "Limit"),
        ({"Limit": "201"}, "Limit"),
        ({"Cursor": "x"}, "Cursor"),
        ({"state": "dead"}, "state"),
        ({"Offset": "10"}, "Offset"),
        ({"State": ["dead", "queued"]}, "State"),
    ],
    ids=str,
)
async def test_a_filter_at_fault_is_named(log: Log, filters: dict[str, str], field: str) -> None:
    response = await log.api.call("GET", log.path, params=filters)

    assert (response.status_code, response.json()["Code"]) == (422, "VALIDATION_FAILED")
    assert [one["Field"] for one in response.json()["Errors"]] == [field]


async def test_what_waits_for_a_paused_integration_is_shown_as_held(log: Log) -> None:
    await log.api.data("POST", f"/business/{log.business_id}/integrations/{log.integration}/pause")

    held = await log.listed(State="held")

    assert {one["EventId"] for one in held} == {
        log.events["queued"].event_id,
        log.events["retrying"].event_id,
    }
    assert [one["NextAttemptAt"] for one in held] == [None, None]
    assert await log.listed(State="queued") == []


async def test_an_attempt_is_shown_whole_with_its_secrets_masked(log: Log) -> None:
    dead = await log.one("dead")

    detail = await log.api.data("GET", f"{log.path}/{dead['Id']}")

    assert {name: detail[name] for name in dead} == dead
    assert detail["Explanation"]["Title"] == "Not delivered: the receiver failed"
    (attempt,) = detail["Attempts"]
    headers = attempt.pop("RequestHeaders")
    assert attempt.pop("StartedAt").endswith("Z")
    assert attempt == {
        "Number": 1,
        "DurationMs": 12.346,
        "Timings": {"DnsMs": None, "ConnectMs": None, "TlsMs": None, "FirstByteMs": None, "TotalMs": 12.346},
        "Status": 500,
        "FailureClass": "server_500",
        "Detail": None,
        "Replay": False,
        "ResponseHeaders": {},
        "ResponseBody": "",
        "ResponseTruncated": False,
        "RemoteAddress": None,
        "HttpVersion": None,
    }
    assert headers.pop("webhook-timestamp").isdigit()
    assert headers == {
        "Content-Type": "application/json",
        "User-Agent": "ringback/0.1.0",
        "webhook-id": log.events["dead"].event_id,
        "webhook-attempt": "1",
        "webhook-signature": "v1,***",
        "X-Iqra-Signature": "***",
        "X-Team": "***",
    }


async def test_an_answer_that_is_no_text_is_shown_all_the_same(log: Log) -> None:
    message, (delivery_id,) = await log.api.event(log.business_id, log.integration)
    headers = (("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Odd", "\xff\x00"))
    await log.api.finish(
        message, delivery_id, log.integration, _S.DEAD, body=b"\xff\x00ok", headers=headers, truncated=True
    )
    (found,) = await log.listed(EventId=message.event_id)

    (attempt,) = (await log.api.data("GET", f"{log.path}/{found['Id']}"))["Attempts"]

    assert attempt["ResponseBody"] == "\ufffd\0ok"
    assert attempt["ResponseTruncated"] is True
    assert attempt["ResponseHeaders"] == {"Set-Cookie": "a=1, b=2", "X-Odd": "\xff\x00"}


async def test_an_attempt_without_an_answer_has_no_body(log: Log) -> None:
    message, (delivery_id,) = await log.api.event(log.business_id, log.integration)
    await log.api.finish(message, delivery_id, log.integration, _S.DEAD, status=None, detail="refused")
    (found,) = await log.listed(EventId=message.event_id)

    (attempt,) = (await log.api.data("GET", f"{log.path}/{found['Id']}"))["Attempts"]

    assert (attempt["Status"], attempt["ResponseBody"], attempt["Detail"]) == (None, None, "refused")


@pytest.mark.parametrize("state", ["dead", "delivered", "retrying"])
async def test_a_retry_is_one_more_attempt_now(log: Log, state: str) -> None:
    before = await log.one(state)

    after = await log.api.data("POST", f"{log.path}/{before['Id']}/retry")

    assert (after["Id"], after["State"], after["FinishedAt"]) == (before["Id"], "queued", None)
    assert after["MaxAttempts"] == 6
    assert len(log.api.woken) == 1


@pytest.mark.parametrize("state", ["sending", "queued"])
async def test_what_is_under_way_is_not_retried(log: Log, state: str) -> None:
    response = await log.api.call("POST", f"{log.path}/{(await log.one(state))['Id']}/retry")

    assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")
    assert log.api.woken == []


@pytest.mark.parametrize("state", ["queued", "retrying"])
async def test_what_waits_can_be_cancelled(log: Log, state: str) -> None:
    before = await log.one(state)

    after = await log.api.data("POST", f"{log.path}/{before['Id']}/cancel")

    assert (after["State"], after["NextAttemptAt"]) == ("cancelled", None)
    assert await log.one("cancelled") == after


@pytest.mark.parametrize("state", ["sending", "delivered", "dead"])
async def test_what_does_not_wait_cannot_be_cancelled(log: Log, state: str) -> None:
    response = await log.api.call("POST", f"{log.path}/{(await log.one(state))['Id']}/cancel")

    assert (response.status_code, response.json()["Code"]) == (409, "CONFLICT")


async def test_a_deleted_integration_s_deliveries_stay_listed(log: Log) -> None:
    await log.api.data("DELETE", f"/business/{log.business_id}/integrations/{log.integration}")

    states = {delivery["EventId"]: delivery["State"] for delivery in await log.listed()}

    assert states[log.events["queued"].event_id] == "cancelled"
    assert states[log.events["dead"].event_id] == "dead"
    (dead,) = [one for one in await log.listed() if one["State"] == "dead"]
    assert dead["MaxAttempts"] == 1
