from __future__ import annotations

from tests.api.conftest import Api


async def test_live_and_ready_need_no_key(api: Api) -> None:
    live = await api.call("GET", "/health/live", key=None)
    ready = await api.call("GET", "/health/ready", key=None)

    assert (live.status_code, live.json()) == (200, {"Status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"Status": "ready"})


async def test_unready_says_why(api: Api) -> None:
    api.unready.append("draining")

    ready = await api.call("GET", "/health/ready", key=None)

    assert (ready.status_code, ready.json()) == (503, {"Status": "unready", "Reason": "draining"})
    assert (await api.call("GET", "/health/live", key=None)).status_code == 200


async def test_metrics_are_passed_through(api: Api) -> None:
    response = await api.client.get("/metrics")

    assert response.text == "ringback_up 1\n"
    assert response.headers["content-type"] == "text/plain; version=0.0.4"
