"""Every call of the control plane, with the scope it takes and a body it accepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringback.model import DeliveryState, Scope
from tests.api.conftest import URL, Api


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    scope: Scope
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def of_a_business(self) -> bool:
        return self.path.startswith("/business/{b}") and self.scope is not Scope.OPERATOR


INTEGRATION = {"Type": "webhook", "FriendlyName": "x", "Fields": {"Url": URL, "Events": ["call.*"]}}
KEY = {"FriendlyName": "x", "Scopes": ["read"]}
_READ, _MANAGE, _OPERATOR = Scope.READ, Scope.MANAGE, Scope.OPERATOR

CALLS = [
    Call("POST", "/business", _OPERATOR, {"Name": "x"}),
    Call("GET", "/business", _OPERATOR),
    Call("GET", "/business/{b}", _OPERATOR),
    Call("PATCH", "/business/{b}", _OPERATOR, {"Name": "y"}),
    Call("POST", "/keys", _OPERATOR, KEY),
    Call("GET", "/keys", _OPERATOR),
    Call("DELETE", "/keys/{k}", _OPERATOR),
    Call("GET", "/event-types", _READ),
    Call("GET", "/business/{b}/event-types", _READ),
    Call("GET", "/business/{b}/events", _READ),
    Call("GET", "/business/{b}/events/{e}", _READ),
    Call("POST", "/business/{b}/integrations", _MANAGE, INTEGRATION),
    Call("GET", "/business/{b}/integrations", _READ),
    Call("GET", "/business/{b}/integrations/{i}", _READ),
    Call("PATCH", "/business/{b}/integrations/{i}", _MANAGE, {"FriendlyName": "y"}),
    Call("POST", "/business/{b}/integrations/{i}/test", _MANAGE, {"EventType": "call.failed"}),
    Call("POST", "/business/{b}/integrations/{i}/pause", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/resume", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/disable", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/enable", _MANAGE),
    Call("GET", "/business/{b}/deliveries", _READ),
    Call("GET", "/business/{b}/deliveries/{d}", _READ),
    Call("POST", "/business/{b}/deliveries/{d}/retry", _MANAGE),
    Call("POST", "/business/{b}/deliveries/{d}/cancel", _MANAGE),
    Call("DELETE", "/business/{b}/integrations/{i}", _MANAGE),
    Call("DELETE", "/business/{b}", _OPERATOR),
]


@dataclass(frozen=True)
class Tenant:
    """A business with one of everything, for the names in a call's path."""

    business_id: int
    integration: str
    event: str
    delivery: str
    key: str

    def path(self, call: Call) -> str:
        return call.path.format(
            b=self.business_id, i=self.integration, e=self.event, d=self.delivery, k=self.key
        )


async def make_tenant(api: Api) -> Tenant:
    business_id = await api.business()
    integration = (await api.integration(business_id))["Id"]
    message, (delivery_id,) = await api.event(business_id, integration)
    await api.finish(message, delivery_id, integration, DeliveryState.DEAD)
    page = await api.data("GET", f"/business/{business_id}/deliveries")
    await api.key(Scope.READ)
    keys = await api.data("GET", "/keys")
    return Tenant(business_id, integration, message.event_id, page["Items"][0]["Id"], keys["Items"][0]["Id"])
