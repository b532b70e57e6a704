"""A node with two businesses that have something of everything, for calls that change nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.api.browser import PASSWORD
from tests.api.followers import LiveNode, live_node

EARLY, LATE = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"
_TIMES = {"Since": EARLY, "Until": "2100-01-01T00:00:00Z"}
_AUDIT = {**_TIMES, "Actor": "key:x", "Action": "integration.pause", "Object": "{crm}"}
# Every list, and its filters with a value that each takes.
LISTS: dict[str, dict[str, Any]] = {
    "/business": {},
    "/keys": {},
    "/users": {},
    "/event-types": {},
    "/business/{acme}/event-types": {},
    "/business/{acme}/integrations": {},
    "/business/{acme}/events": {**_TIMES, "Test": False, "EventType": "call.failed"},
    "/business/{acme}/deliveries": {
        **_TIMES,
        "Test": False,
        "EventType": "call.failed",
        "EventId": "{event}",
        "IntegrationId": "{crm}",
        "State": "held",
        "Status": 500,
        "FailureClass": "server_500",
    },
    "/business/{acme}/audit": _AUDIT,
    "/audit": _AUDIT,
}
URL = "https://hooks.example.com/ringback"


@dataclass
class Held:
    """`names` stand for their values in a call's path: `/business/{acme}/integrations/{crm}`."""

    node: LiveNode
    names: dict[str, Any]

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.node.call(method, path.format(**self.names), body)

    async def page(self, path: str, **query: Any) -> httpx.Response:
        asked = {name: str(value).format(**self.names) for name, value in query.items()}
        return await self.node.call("GET", str(httpx.URL(path.format(**self.names), params=asked)))

    async def items_of(self, path: str) -> Any:
        return (await self.node.data("GET", path.format(**self.names)))["Items"]

    async def next_of(self, path: str, **query: Any) -> str:
        """The cursor after the first row of a list, which must have more."""
        answer = await self.page(path, Limit=1, **query)
        assert answer.status_code == 200, answer.text
        cursor: str = answer.json()["Data"]["NextCursor"]
        assert cursor is not None, (path, query)
        return cursor


def fault(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """The status, the code and the fields at fault."""
    refusal = answer.json()
    return answer.status_code, refusal["Code"], [error["Field"] for error in refusal.get("Errors", [])]


@asynccontextmanager
async def held_node(folder: Path) -> AsyncIterator[Held]:
    """Its integrations are paused: nothing is sent to anybody."""
    async with live_node(folder) as node:
        acme, crm = await _filled(node, "Acme")
        other, _ = await _filled(node, "Other")
        plain = (await _integration(node, acme))["Id"]
        owner, viewer = [await _user(node, role) for role in ("owner", "viewer")]
        deliveries = await node.data("GET", f"/business/{acme}/deliveries")
        names = {
            "acme": acme,
            "other": other,
            "crm": crm,
            "plain": plain,
            "owner": owner,
            "viewer": viewer,
            "delivery": deliveries["Items"][0]["Id"],
            "event": deliveries["Items"][0]["EventId"],
        }
        yield Held(node, names)


async def _filled(node: LiveNode, name: str) -> tuple[int, str]:
    """Two integrations that get every event; the secret of the one whose id is told is being rotated."""
    business_id = await node.business(name)
    first, _ = [await _integration(node, business_id, GenerateSecret=True) for _ in range(2)]
    path = f"/business/{business_id}/integrations/{first['Id']}"
    await node.data("POST", f"{path}/secret/rotate", {})
    await node.publish(business_id, 3)
    for event_type in ("order.paid", "order.sent"):
        await node.data("PUT", f"/business/{business_id}/event-types/{event_type}", {"Description": "x"})
    await node.key("read", businesses=[business_id])
    return business_id, first["Id"]


async def _integration(node: LiveNode, business_id: int, **fields: Any) -> Any:
    form = {"Type": "webhook", "FriendlyName": "CRM", "Fields": {"Url": URL, "Events": ["*"]}, **fields}
    made = await node.data("POST", f"/business/{business_id}/integrations", form)
    await node.data("POST", f"/business/{business_id}/integrations/{made['Id']}/pause")
    return made


async def _user(node: LiveNode, role: str) -> str:
    form = {"Email": f"{role}@example.com", "Role": role, "Password": PASSWORD}
    user_id: str = (await node.data("POST", "/users", form))["Id"]
    return user_id
