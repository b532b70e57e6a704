"""The state of the system, for its operator."""

from __future__ import annotations

from ringback.model import DeliveryState
from ringback.statistics import MINUTE_MS
from tests.api.conftest import Api


async def test_a_quiet_system(api: Api) -> None:
    found = await api.data("GET", "/system")

    assert found["Version"] == "0.1.0"
    (node,) = found["Nodes"]
    assert (node["NodeId"], node["State"], node["LeftAt"]) == (api.node.node_id, "alive", None)
    assert node["UptimeSeconds"] >= 0
    assert found["Waiting"] == {"Queued": 0, "Sending": 0, "Retrying": 0, "Held": 0}
    assert found["OldestDueAt"] is None
    assert found["EventsPerSecond"] == found["AttemptsPerSecond"] == {"LastMinute": 0, "LastHour": 0}
    assert found["DatabaseBytes"] > 0
    assert found["DiskFreeBytes"] > 0
    assert found["Retention"] == {
        "PayloadDays": 30, "AttemptDays": 90, "HoldDays": 30, "AuditDays": 400, "MinuteStatsDays": 8,
        "HourStatsDays": 400,
    }  # fmt: skip


async def test_it_counts_all_businesses(api: Api) -> None:
    """In the minute that is over: six events of two businesses, three attempts."""
    api.clock.stand_still()
    for business_id in (await api.business(), await api.business()):
        integration = (await api.integration(business_id))["Id"]
        for state in (DeliveryState.DELIVERED, DeliveryState.RETRYING):
            message, (delivery_id,) = await api.event(business_id, integration)
            await api.finish(message, delivery_id, integration, state)
        await api.event(business_id, integration, direct=False)
    api.clock.pass_ms(MINUTE_MS)

    found = await api.data("GET", "/system")

    assert found["Waiting"] == {"Queued": 2, "Sending": 0, "Retrying": 2, "Held": 0}
    assert found["OldestDueAt"] is not None
    assert found["EventsPerSecond"] == {"LastMinute": 0.1, "LastHour": 0.002}
    assert found["AttemptsPerSecond"] == {"LastMinute": 0.067, "LastHour": 0.001}


async def test_a_node_that_left_is_shown_so(api: Api) -> None:
    other = await api.store.join(api.store.now())
    await api.store.leave(other)

    nodes = (await api.data("GET", "/system"))["Nodes"]

    assert [(one["NodeId"], one["State"]) for one in nodes] == [
        (api.node.node_id, "alive"),
        (other.node_id, "left"),
    ]
    assert nodes[1]["LeftAt"] is not None
    assert nodes[1]["UptimeSeconds"] is None


async def test_it_takes_no_parameters(api: Api) -> None:
    refused = await api.call("GET", "/system?Since=2026-11-23T12:00:00Z")
    assert refused.json()["Errors"][0]["Field"] == "Since"
