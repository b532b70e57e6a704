"""Statistics over the API: the shape, the numbers, the range, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ringback.api.control import control_app
from ringback.model import DeliveryState, Scope
from ringback.statistics import DAY_MS, HOUR_MS
from tests.api.conftest import Api
from tests.builders import KEEP

COUNTS = {
    "Events", "Deliveries", "Attempts", "Answers", "FirstTryRate", "DeliveredRate", "AttemptFailureRate",
    "AttemptMs", "EndToEndMs",
}  # fmt: skip


async def stats(api: Api, business_id: int, **query: Any) -> Any:
    return await api.data("GET", f"/business/{business_id}/stats", params=query)


async def refused(api: Api, business_id: int, **query: Any) -> list[str]:
    """The fields at fault."""
    response = await api.call("GET", f"/business/{business_id}/stats", params=query)
    answer = response.json()
    assert (response.status_code, answer["Code"]) == (422, "VALIDATION_FAILED"), answer
    return [error["Field"] for error in answer["Errors"]]


def iso(at: datetime) -> str:
    return at.isoformat()


def ago(**time: float) -> str:
    return iso(datetime.now(UTC) - timedelta(**time))


async def traffic(api: Api, business_id: int) -> tuple[str, str]:
    """One delivered at once, one dead, one retrying, one waiting; two integrations."""
    first = (await api.integration(business_id))["Id"]
    second = (await api.integration(business_id, FriendlyName="Other"))["Id"]
    for state in (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.RETRYING):
        message, (delivery_id,) = await api.event(business_id, first)
        await api.finish(message, delivery_id, first, state)
    await api.event(business_id, second, direct=False)
    return first, second


async def test_nothing_yet(api: Api) -> None:
    found = await stats(api, await api.business())

    nothing = {
        "Events": 0,
        "Deliveries": {"Delivered": 0, "DeliveredFirstTry": 0, "Dead": 0, "Cancelled": 0, "Open": 0},
        "Attempts": {"Succeeded": 0, "Failed": 0},
        "Answers": {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, "None": 0},
        "FirstTryRate": None,
        "DeliveredRate": None,
        "AttemptFailureRate": None,
        "AttemptMs": {"P50": None, "P95": None, "P99": None},
        "EndToEndMs": {"P50": None, "P95": None, "P99": None},
    }
    assert found["Totals"] == nothing
    assert found["Bucket"] == "1h"
    assert len(found["Buckets"]) == 25
    assert found["Buckets"][0] == {"Start": found["Since"], **nothing}
    for name in ("EventTypes", "AttemptNumbers", "Statuses", "FailureClasses", "Integrations"):
        assert found[name] == []
    assert found["Now"] == {
        "Queued": 0, "Sending": 0, "Retrying": 0, "Held": 0, "NextAttemptAt": None, "OldestDueAt": None
    }  # fmt: skip


async def test_what_happened_is_counted(api: Api) -> None:
    business_id = await api.business()
    first, second = await traffic(api, business_id)

    found = await stats(api, business_id)

    totals = found["Totals"]
    assert totals["Events"] == 4
    assert totals["Deliveries"] == {
        "Delivered": 1, "DeliveredFirstTry": 1, "Dead": 1, "Cancelled": 0, "Open": 2
    }  # fmt: skip
    assert totals["Attempts"] == {"Succeeded": 1, "Failed": 2}
    assert totals["Answers"] == {"2xx": 1, "3xx": 0, "4xx": 0, "5xx": 2, "None": 0}
    assert totals["FirstTryRate"] == pytest.approx(1 / 3)
    assert totals["DeliveredRate"] == 0.5
    assert totals["AttemptFailureRate"] == pytest.approx(2 / 3)
    assert 10 <= totals["AttemptMs"]["P50"] <= totals["AttemptMs"]["P99"] <= 13
    assert sum(bucket["Events"] for bucket in found["Buckets"]) == 4
    assert found["EventTypes"] == [{"EventType": "call.failed", "Events": 4, "Deliveries": 4, "Share": 1.0}]
    assert found["AttemptNumbers"] == [{"Number": 1, "Succeeded": 1, "Failed": 2}]
    assert found["Statuses"] == [{"Status": 200, "Count": 1}, {"Status": 500, "Count": 2}]
    assert found["FailureClasses"] == [{"Class": "server_500", "Count": 2}]
    shown = {one["IntegrationId"]: one for one in found["Integrations"]}
    assert (shown[first]["Delivered"], shown[first]["Dead"], shown[first]["Open"]) == (1, 1, 1)
    assert shown[first]["FirstTryRate"] == pytest.approx(1 / 3)
    assert shown[first]["LastDeliveredAt"] is not None
    assert shown[second] == {
        "IntegrationId": second, "Delivered": 0, "Dead": 0, "Open": 1, "FirstTryRate": None,
        "AttemptP95Ms": None, "LastDeliveredAt": None,
    }  # fmt: skip
    now = found["Now"]
    assert (now["Queued"], now["Sending"], now["Retrying"], now["Held"]) == (1, 0, 1, 0)
    assert now["OldestDueAt"] <= ago() < now["NextAttemptAt"]


async def test_each_bucket_has_the_same_counts_as_the_whole(api: Api) -> None:
    found = await stats(api, await api.business())

    assert set(found["Totals"]) == COUNTS
    assert all(set(bucket) == COUNTS | {"Start"} for bucket in found["Buckets"])


async def test_the_range_is_widened_to_whole_buckets(api: Api) -> None:
    business_id = await api.business()

    found = await stats(
        api, business_id, Since="2026-11-23T12:34:56+01:00", Until="2026-11-23T13:00:00.001Z", Bucket="5m"
    )

    assert (found["Since"], found["Until"]) == ("2026-11-23T11:30:00.000Z", "2026-11-23T13:05:00.000Z")
    starts = [bucket["Start"] for bucket in found["Buckets"]]
    assert (starts[0], starts[1], len(starts)) == ("2026-11-23T11:30:00.000Z", "2026-11-23T11:35:00.000Z", 19)


async def test_days_are_days_of_utc(api: Api) -> None:
    found = await stats(
        api,
        await api.business(),
        Since="2026-11-22T23:00:00-05:00",
        Until="2026-11-24T00:00:00Z",
        Bucket="1d",
    )
    assert [bucket["Start"] for bucket in found["Buckets"]] == ["2026-11-23T00:00:00.000Z"]


@pytest.mark.parametrize(
    ("since", "bucket"), [({"hours": 1}, "1m"), ({"days": 7}, "1h"), ({"days": 30}, "1d")]
)
async def test_a_bucket_is_chosen_that_fits(api: Api, since: dict[str, float], bucket: str) -> None:
    found = await stats(api, await api.business(), Since=ago(**since))
    assert found["Bucket"] == bucket
    assert len(found["Buckets"]) <= 200


async def test_filters(api: Api) -> None:
    business_id = await api.business()
    first, second = await traffic(api, business_id)

    of_second = await stats(api, business_id, IntegrationId=second)
    assert (of_second["Totals"]["Events"], of_second["Totals"]["Deliveries"]["Open"]) == (1, 1)
    assert [one["IntegrationId"] for one in of_second["Integrations"]] == [second]
    assert of_second["AttemptNumbers"] == []
    of_type = await stats(api, business_id, EventType="call.failed", IntegrationId=first)
    assert of_type["Totals"]["Events"] == 3
    assert (await stats(api, business_id, EventType="call.started"))["Totals"]["Events"] == 0
    assert of_second["Now"] == of_type["Now"]


async def test_an_integration_that_is_another_business_has_no_figures(api: Api) -> None:
    ours, theirs = await api.business(), await api.business()
    first, _ = await traffic(api, theirs)

    for integration in (first, "intg_01kb3v9q2m4xa"):
        found = await stats(api, ours, IntegrationId=integration)
        assert found["Totals"]["Events"] == found["Totals"]["Deliveries"]["Open"] == 0
        assert found["Integrations"] == []


async def test_tests_are_left_out(api: Api) -> None:
    business_id = await api.business()
    integration = (await api.integration(business_id))["Id"]
    await api.data(
        "POST", f"/business/{business_id}/integrations/{integration}/test", {"EventType": "call.failed"}
    )

    found = await stats(api, business_id)
    assert found["Totals"]["Events"] == found["Totals"]["Attempts"]["Succeeded"] == 0
    assert found["Integrations"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"Since": "2026-11-23T12:00:00Z", "Until": "2026-11-23T11:59:59Z"}, "Since"),
        ({"Since": "2026-11-23T12:00:00Z", "Until": "2026-11-23T12:00:00Z"}, "Since"),
        ({"Since": "2199-01-01T00:00:00Z"}, "Since"),
        ({"Since": "9999-12-31T23:59:59Z", "Until": "9999-12-31T23:59:59.999Z"}, "Since"),
        ({"Since": "2026-11-23T12:00:00"}, "Since"),
        ({"Since": "yesterday"}, "Since"),
        ({"Since": ""}, "Since"),
        ({"Until": "2026-11-31T00:00:00Z"}, "Until"),
        ({"Since": "2026-11-01T00:00:00Z", "Until": "2026-11-30T00:00:00Z", "Bucket": "1m"}, "Bucket"),
        ({"Since": "2026-11-01T00:00:00Z", "Until": "2026-11-30T00:00:00Z", "Bucket": "5m"}, "Bucket"),
        ({"Since": "2026-01-01T00:00:00Z", "Until": "2026-12-31T00:00:00Z", "Bucket": "1h"}, "Bucket"),
        ({"Since": "0001-01-01T00:00:00Z"}, "Bucket"),
        ({"Bucket": "1s"}, "Bucket"),
        ({"Bucket": "1H"}, "Bucket"),
        ({"Bucket": ""}, "Bucket"),
        ({"IntegrationId": "intg_1"}, "IntegrationId"),
        ({"IntegrationId": "dlv_01kb3v9q2m4xb"}, "IntegrationId"),
        ({"EventType": "x" * 1_000}, "EventType"),
        ({"Limit": "10"}, "Limit"),
        ({"since": "2026-11-23T12:00:00Z"}, "since"),
        ({"Bucket": ["1h", "1d"]}, "Bucket"),
    ],
)
async def test_bad_questions_are_refused_by_name(api: Api, query: dict[str, Any], field: str) -> None:
    assert await refused(api, await api.business(), **query) == [field]


async def test_the_most_buckets_are_2000(api: Api) -> None:
    business_id = await api.business()
    found = await stats(
        api, business_id, Since="2026-11-01T00:00:00Z", Until="2026-11-02T09:20:00Z", Bucket="1m"
    )
    assert len(found["Buckets"]) == 2_000
    assert await refused(
        api, business_id, Since="2026-11-01T00:00:00Z", Until="2026-11-02T09:20:01Z", Bucket="1m"
    ) == ["Bucket"]


async def test_minutes_that_are_gone_are_not_shown_as_zeros(api: Api) -> None:
    """Nothing happened there, or it is refused; hours are there for longer."""
    business_id = await api.business()
    begin = iso(datetime.fromtimestamp(api.store.now() / 1_000, UTC))
    await traffic(api, business_id)
    api.clock.pass_ms(8 * DAY_MS)
    while await api.store.fold_statistics(1_000, api.store.now()):
        pass
    end = iso(datetime.fromtimestamp((api.store.now() - 8 * DAY_MS + HOUR_MS) / 1_000, UTC))

    for bucket in ("1m", "5m"):
        assert await refused(api, business_id, Since=begin, Until=end, Bucket=bucket) == ["Bucket"]
    assert (await stats(api, business_id, Since=begin, Until=end, Bucket="1h"))["Totals"]["Events"] == 4
    other = await api.business()
    assert (await stats(api, other, Since=begin, Until=end, Bucket="1m"))["Totals"]["Events"] == 0
    longer = replace(api.context, keep=msgspec.structs.replace(KEEP, minute_stats=9))
    api.client._transport.app = control_app(longer)  # type: ignore[attr-defined]
    assert (await stats(api, business_id, Since=begin, Until=end, Bucket="1m"))["Totals"]["Events"] == 4


async def test_a_restricted_key_sees_its_own_business(api: Api) -> None:
    ours, theirs = await api.business(), await api.business()
    key = await api.key(Scope.READ, businesses=[ours])
    assert (await api.call("GET", f"/business/{ours}/stats", key=key)).status_code == 200
    assert (await api.call("GET", f"/business/{theirs}/stats", key=key)).status_code == 404
