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
    # None of its body's fields is required.
    may_be_empty: bool = False

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
    Call("PUT", "/business/{b}/event-types/{t}", _MANAGE, {"Description": "An order was paid."}),
    Call("GET", "/business/{b}/events", _READ),
    Call("GET", "/business/{b}/events/{e}", _READ),
    Call("POST", "/business/{b}/integrations", _MANAGE, INTEGRATION),
    Call("GET", "/business/{b}/integrations", _READ),
    Call("GET", "/business/{b}/integrations/{i}", _READ),
    Call("PATCH", "/business/{b}/integrations/{i}", _MANAGE, {"FriendlyName": "y"}),
    Call("POST", "/business/{b}/integrations/{i}/test", _MANAGE, {"EventType": "call.failed"}),
    Call("POST", "/business/{b}/integrations/{i}/secret/reveal", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/secret/rotate/finish", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/secret/rotate", _MANAGE, {"OverlapSeconds": 60}, True),
    Call("POST", "/business/{b}/integrations/{i}/pause", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/resume", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/disable", _MANAGE),
    Call("POST", "/business/{b}/integrations/{i}/enable", _MANAGE),
    Call("GET", "/business/{b}/deliveries", _READ),
    Call("GET", "/business/{b}/deliveries/{d}", _READ),
    Call("POST", "/business/{b}/deliveries/{d}/retry", _MANAGE),
    Call("POST", "/business/{b}/deliveries/{d}/cancel", _MANAGE),
    Call("POST", "/business/{b}/deliveries/retry", _MANAGE, {"Ids": ["dlv_01kb3v9q2m4xb"]}),
    Call("DELETE", "/business/{b}/event-types/{t}", _MANAGE),
    Call("GET", "/users", _OPERATOR),
    Call("POST", "/users", _OPERATOR, {"Email": "new@example.com", "Role": "viewer"}),
    Call("GET", "/users/{u}", _OPERATOR),
    Call("PATCH", "/users/{u}", _OPERATOR, {"Name": "y"}),
    Call("DELETE", "/users/{u}", _OPERATOR),
    Call("GET", "/audit", _OPERATOR),
    Call("GET", "/system", _OPERATOR),
    Call("GET", "/business/{b}/stats", _READ),
    Call("GET", "/business/{b}/audit", _READ),
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
    user: str
    event_type: str

    def path(self, call: Call) -> str:
        return call.path.format(
            b=self.business_id,
            i=self.integration,
            e=self.event,
            d=self.delivery,
            k=self.key,
            u=self.user,
            t=self.event_type,
        )


async def make_tenant(api: Api) -> Tenant:
    business_id = await api.business()
    integration = (await api.integration(business_id, GenerateSecret=True))["Id"]
    await api.data("POST", f"/business/{business_id}/integrations/{integration}/secret/rotate", {})
    message, (delivery_id,) = await api.event(business_id, integration)
    await api.finish(message, delivery_id, integration, DeliveryState.DEAD)
    page = await api.data("GET", f"/business/{business_id}/deliveries")
    await api.key(Scope.READ)
    keys = await api.data("GET", "/keys")
    delivery, key = page["Items"][0]["Id"], keys["Items"][0]["Id"]
    form = {"Email": f"viewer{business_id}@example.com", "Role": "viewer", "Password": "a password"}
    user = (await api.data("POST", "/users", form))["Id"]
    event_type = f"order.paid_{business_id}"
    await api.data("PUT", f"/business/{business_id}/event-types/{event_type}", {"Description": "Paid."})
    return Tenant(business_id, integration, message.event_id, delivery, key, user, event_type)
