from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import Api
from tests.api.test_over_http import serving


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


@pytest.mark.parametrize(
    ("path", "reason", "status"),
    [
        ("live", None, b"200"),
        ("ready", None, b"200"),
        ("ready", "draining", b"503"),
    ],
)
async def test_head_is_answered_like_get_without_a_body(
    api: Api, path: str, reason: str | None, status: bytes
) -> None:
    api.unready += [] if reason is None else [reason]
    async with serving(api) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HEAD /health/%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
        answer = await reader.read()
        writer.close()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (status, b"")


async def test_metrics_are_passed_through(api: Api) -> None:
    response = await api.client.get("/metrics")

    assert response.text == "ringback_up 1\n"
    assert response.headers["content-type"] == "text/plain; version=0.0.4"
