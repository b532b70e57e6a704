from __future__ import annotations

import msgspec
import pytest

from ringback.apikeys import digest_of
from ringback.model import Scope
from ringback.store.port import Change
from tests.api.conftest import OPERATOR, Api, operator_key


async def test_a_key_is_shown_once_and_works_at_once(api: Api) -> None:
    business_id = await api.business()
    form = {"FriendlyName": "Reader", "Scopes": ["read"], "RestrictedBusinessIds": [business_id]}

    created = await api.call("POST", "/keys", form)

    key = created.json()["Data"]
    secret = key.pop("Key")
    assert created.status_code == 201
    assert key["Scopes"] == ["read"]
    assert key["RestrictedBusinessIds"] == [business_id]
    assert secret.endswith(key["EndsIn"])
    assert len(secret) == 44
    assert (await api.call("GET", f"/business/{business_id}/event-types", key=secret)).status_code == 200
    listed = await api.call("GET", "/keys")
    assert key in listed.json()["Data"]["Items"]
    assert secret not in listed.text
    assert OPERATOR not in listed.text


async def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    secret = await api.key(Scope.READ)
    newest = (await api.data("GET", "/keys"))["Items"][0]["Id"]

    await api.data("DELETE", f"/keys/{newest}")

    assert (await api.call("GET", "/event-types", key=secret)).status_code == 401
    assert (await api.call("DELETE", f"/keys/{newest}")).status_code == 404


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"Scopes": ["read"]}, "FriendlyName"),
        ({"FriendlyName": "x"}, "Scopes"),
        ({"FriendlyName": "x", "Scopes": []}, "Scopes"),
        ({"FriendlyName": "x", "Scopes": ["root"]}, "Scopes[0]"),
        ({"FriendlyName": "x", "Scopes": "read"}, "Scopes"),
        ({"FriendlyName": "x", "Scopes": ["read"] * 5}, "Scopes"),
        (
            {"FriendlyName": "x", "Scopes": ["read"], "RestrictedBusinessIds": [77]},
            "RestrictedBusinessIds[0]",
        ),
        (
            {"FriendlyName": "x", "Scopes": ["read"], "RestrictedBusinessIds": ["1"]},
            "RestrictedBusinessIds[0]",
        ),
        ({"FriendlyName": "x", "Scopes": ["read"], "Key": "rbk_mine"}, "Key"),
    ],
)
async def test_a_fault_is_named(api: Api, form: object, field: str) -> None:
    response = await api.call("POST", "/keys", form)

    assert response.status_code == 422
    assert [fault["Field"] for fault in response.json()["Errors"]] == [field]


async def test_an_operator_is_not_restricted(api: Api) -> None:
    form = {"FriendlyName": "x", "Scopes": ["operator"], "RestrictedBusinessIds": [await api.business()]}

    response = await api.call("POST", "/keys", form)

    assert response.json()["Errors"][0]["Field"] == "RestrictedBusinessIds"


async def test_an_operator_that_is_restricted_all_the_same_does_not_reach_beyond_its_businesses(
    api: Api,
) -> None:
    ours, theirs = await api.business("a"), await api.business("b")
    restricted = msgspec.structs.replace(
        operator_key(), key_id=2, digest=digest_of(b"restricted"), business_ids=frozenset({ours})
    )
    await api.store.create_key(restricted, Change(actor="cli", action="key.create", at=api.store.now()))
    await api.context.live.refresh()

    for path in ("/business", "/keys", f"/business/{ours}", f"/business/{theirs}"):
        assert (await api.call("GET", path, key="restricted")).status_code == 403
    assert (await api.call("GET", f"/business/{ours}/events", key="restricted")).status_code == 200
    assert (await api.call("GET", f"/business/{theirs}/events", key="restricted")).status_code == 404
