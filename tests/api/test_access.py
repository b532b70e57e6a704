"""Who may call what: every call without a key, with every scope, and with every other tenant's ids."""

from __future__ import annotations

import dataclasses

import pytest

from ringback.model import Scope
from tests.api.calls import CALLS, Call, make_tenant
from tests.api.conftest import Api

pytestmark = pytest.mark.parametrize("call", CALLS, ids=str)

LISTS = ("/audit", "/events", "/integrations", "/deliveries", "-types", "/deliveries/retry", "/stats")


async def test_without_a_key_nothing_is_said(api: Api, call: Call) -> None:
    tenant = await make_tenant(api)

    for key in (None, "rbk_unknown"):
        response = await api.call(call.method, tenant.path(call), call.body, key=key)
        assert (response.status_code, response.json()["Code"]) == (401, "INVALID_API_KEY")


async def test_its_scope_is_what_a_call_takes(api: Api, call: Call) -> None:
    tenant = await make_tenant(api)

    others = [scope for scope in Scope if scope not in (call.scope, Scope.OPERATOR)]
    refused = await api.call(call.method, tenant.path(call), call.body, key=await api.key(*others))
    assert (refused.status_code, refused.json()["Code"]) == (403, "PERMISSION_DENIED")

    allowed = await api.call(call.method, tenant.path(call), call.body, key=await api.key(call.scope))
    assert allowed.is_success or allowed.status_code == 409, allowed.text


async def test_a_key_of_another_business_finds_nothing(api: Api, call: Call) -> None:
    ours, theirs = await make_tenant(api), await make_tenant(api)
    key = await api.key(Scope.READ, Scope.MANAGE, Scope.PUBLISH, businesses=[ours.business_id])

    response = await api.call(call.method, theirs.path(call), call.body, key=key)

    if call.of_a_business:
        assert (response.status_code, response.json()["Code"]) == (404, "NOT_FOUND")
    elif call.scope is Scope.OPERATOR:
        assert response.status_code == 403


async def test_another_business_object_is_not_found_under_ones_own(api: Api, call: Call) -> None:
    ours, theirs = await make_tenant(api), await make_tenant(api)
    names_no_object = call.method == "PUT" or call.path.endswith(LISTS)
    if not call.of_a_business or names_no_object:
        return
    mixed = dataclasses.replace(theirs, business_id=ours.business_id)

    response = await api.call(call.method, mixed.path(call), call.body)

    assert (response.status_code, response.json()["Code"]) == (404, "NOT_FOUND")
    untouched = await api.call("GET", f"/business/{theirs.business_id}/integrations/{theirs.integration}")
    assert untouched.json()["Data"]["State"] == "active"


async def test_ids_that_are_none_are_not_found(api: Api, call: Call) -> None:
    tenant = await make_tenant(api)
    for nonsense in ("x", "intg_", "0000000000000", "intg_zzzzzzzzzzzzz", "%00", "😀", "-1", "9" * 40):
        broken = dataclasses.replace(
            tenant, integration=nonsense, event=nonsense * 70, delivery=nonsense, key=nonsense, user=nonsense
        )
        if broken.path(call) != tenant.path(call):
            response = await api.call(call.method, broken.path(call), call.body)
            assert response.status_code == 404, (nonsense, response.text)


async def test_a_business_that_is_none_is_not_found(api: Api, call: Call) -> None:
    tenant = await make_tenant(api)
    for nonsense in ("x", "0", "-1", "99", "9" * 19, "9" * 5_000, "1e3", "%00", "١"):
        broken = tenant.path(call).replace(f"/business/{tenant.business_id}", f"/business/{nonsense}")
        if broken != tenant.path(call):
            response = await api.call(call.method, broken, call.body)
            assert response.status_code == 404, (nonsense, response.text)
