"""The audit log: each change has its line, with who made it, and people find it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from ringback.model import Scope
from ringback.people import Role
from tests.api.browser import PASSWORD, Browser, add_user, browser, signed_in
from tests.api.calls import CALLS, Call, Tenant, make_tenant
from tests.api.conftest import Api

# These change nothing that is kept: what is sent as a test is in the delivery log.
_NO_CHANGE = {"/business/{b}/integrations/{i}/test"}
CHANGES = [call for call in CALLS if call.method != "GET" and call.path not in _NO_CHANGE]
# What makes room for the change, where a tenant as it is made has none.
_BEFORE = {
    "/business/{b}/integrations/{i}/resume": "/business/{b}/integrations/{i}/pause",
    "/business/{b}/integrations/{i}/enable": "/business/{b}/integrations/{i}/disable",
    "/business/{b}/integrations/{i}/secret/rotate": "/business/{b}/integrations/{i}/secret/rotate/finish",
    "/business/{b}/deliveries/{d}/cancel": "/business/{b}/deliveries/{d}/retry",
}


async def entries(api: Api, query: str = "") -> list[Any]:
    found: list[Any] = (await api.data("GET", f"/audit?Limit=200{query}"))["Items"]
    return found


async def prepared(api: Api, call: Call) -> Tenant:
    """A tenant whose state lets the call change something."""
    tenant = await make_tenant(api)
    if call.path in _BEFORE:
        await api.data("POST", tenant.path(replace(call, path=_BEFORE[call.path])))
    return tenant


@pytest.mark.parametrize("by", ["key", "user"])
@pytest.mark.parametrize("call", CHANGES, ids=str)
async def test_each_change_is_in_the_log_with_who_made_it(api: Api, call: Call, by: str) -> None:
    tenant = await prepared(api, call)
    person = await signed_in(api)
    before = len(await entries(api))

    path = tenant.path(call)
    # Of several, those of this tenant.
    body = {"Ids": [tenant.delivery]} if call.path.endswith("/deliveries/retry") else call.body
    if by == "user":
        answer = await person.call(call.method, path, body)
    else:
        answer = await api.call(call.method, path, body)

    assert answer.is_success, answer.text
    added = (await entries(api))[: len(await entries(api)) - before]
    actor = "user:owner@example.com" if by == "user" else "key:operator"
    assert added
    assert {entry["Actor"] for entry in added} == {actor}
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", entry["Action"]) for entry in added)
    if call.path.startswith("/business/{b}"):
        assert added[0]["BusinessId"] == tenant.business_id


async def test_signing_in_and_out_is_in_the_log(api: Api) -> None:
    email, user_id = await add_user(api)
    ada = browser(api)
    for _ in range(3):
        await ada.try_password(email, "wrong")
    await ada.sign_in(email)
    await ada.data("POST", "/session/confirm", {"Password": PASSWORD})
    await ada.data("PATCH", "/session", {"Password": "a new password", "CurrentPassword": PASSWORD})
    await ada.data("DELETE", "/session")

    found = [(entry["Action"], entry["Detail"]) for entry in await entries(api, f"&Actor=user:{email}")]

    assert found == [
        ("session.delete", None),
        ("user.update", "Password"),
        ("session.confirm", "from 192.0.2.1"),
        ("session.confirm", "from 192.0.2.1"),
        ("session.create", "from 192.0.2.1, after 3 wrong passwords"),
    ]
    assert {entry["Object"] for entry in await entries(api, f"&Actor=user:{email}")} == {user_id}


async def test_updates_name_what_changed_and_no_value(api: Api) -> None:
    business_id = await api.business()
    integration = await api.integration(business_id)
    place = f"/business/{business_id}/integrations/{integration['Id']}"
    change = {
        "Fields": {"Url": "https://elsewhere.example/hooks", "Events": ["call.*"]},
        "TimeoutSeconds": 9,
        "Headers": {"X-Team": "a secret value"},
        "EncryptedFields": {"Secret": "their own secret"},
    }
    await api.data("PATCH", place, change)
    await api.data("PATCH", place, {"TimeoutSeconds": 9})
    await api.data("PATCH", f"/business/{business_id}", {"Name": "Acme 2", "Enabled": False})

    found = await entries(api, "&Actor=key:operator")

    updates = [(entry["Action"], entry["Detail"]) for entry in found if entry["Action"].endswith("update")]
    assert updates == [
        ("business.update", "Name, Enabled"),
        ("integration.update", "Fields.Url, Fields.Events, TimeoutSeconds, Headers, Secret"),
    ]
    for value in ("elsewhere", "a secret value", "their own secret", "Acme 2"):
        assert value not in str(found)


async def test_a_business_shows_its_own_log_alone(api: Api) -> None:
    ours, theirs = await api.business("Ours"), await api.business("Theirs")
    integration = await api.integration(ours)
    await api.integration(theirs)
    key = await api.key(Scope.READ, businesses=[ours])

    log = await api.data("GET", f"/business/{ours}/audit", key=key)

    assert [(entry["Action"], entry["Object"]) for entry in log["Items"]] == [
        ("integration.create", integration["Id"]),
        ("business.create", f"business {ours}"),
    ]
    assert {entry["BusinessId"] for entry in log["Items"]} == {ours}
    assert (await api.call("GET", f"/business/{theirs}/audit", key=key)).status_code == 404
    assert (await api.call("GET", "/audit", key=key)).status_code == 403


async def test_the_whole_log_has_what_a_deleted_business_did(api: Api) -> None:
    business_id = await api.business()
    await api.data("DELETE", f"/business/{business_id}")

    assert [entry["Action"] for entry in await entries(api, f"&Object=business%20{business_id}")] == [
        "business.delete",
        "business.create",
    ]


async def test_the_log_is_filtered_and_walked_page_by_page(api: Api) -> None:
    business_id = await api.business()
    integrations = [(await api.integration(business_id))["Id"] for _ in range(3)]
    for one in integrations:
        api.clock.pass_ms(1_000)
        await api.data("POST", f"/business/{business_id}/integrations/{one}/pause")
    log = f"/business/{business_id}/audit"

    paused = await api.data("GET", f"{log}?Action=integration.pause")
    first = await api.data("GET", f"{log}?Action=integration.pause&Limit=2")
    second = await api.data("GET", f"{log}?Action=integration.pause&Limit=2&Cursor={first['NextCursor']}")
    of_one = await api.data("GET", f"{log}?Object={integrations[0]}")
    since = await api.data("GET", f"{log}?Since={paused['Items'][1]['At']}")
    until = await api.data("GET", f"{log}?Action=integration.pause&Until={paused['Items'][1]['At']}")

    assert [entry["Object"] for entry in paused["Items"]] == integrations[::-1]
    assert first["Items"] + second["Items"] == paused["Items"]
    assert [entry["Action"] for entry in of_one["Items"]] == ["integration.pause", "integration.create"]
    assert since["Items"] == paused["Items"][:2]
    assert until["Items"] == paused["Items"][2:]
    foreign = await api.call("GET", f"{log}?Cursor={first['NextCursor']}")
    assert foreign.status_code == 422


@pytest.mark.parametrize("query", ["Action=", "Actor=nobody", "Object=intg_0000000000000", "Object=%00"])
async def test_a_filter_that_nothing_passes_finds_nothing(api: Api, query: str) -> None:
    assert (await api.data("GET", f"/audit?{query}"))["Items"] == []


@pytest.mark.parametrize(
    "query", ["Since=yesterday", "Until=1", "Limit=0", "Limit=201", "Sort=At", "Cursor=x"]
)
async def test_a_query_that_is_none_is_refused(api: Api, query: str) -> None:
    assert (await api.call("GET", f"/audit?{query}")).status_code == 422


async def test_every_role_reads_a_business_s_log_and_owners_alone_the_whole(api: Api) -> None:
    business_id = await api.business()
    people: dict[Role, Browser] = {role: await signed_in(api, role) for role in Role}

    for role, person in people.items():
        assert (await person.call("GET", f"/business/{business_id}/audit")).status_code == 200
        whole = await person.call("GET", "/audit")
        assert whole.status_code == (200 if role is Role.OWNER else 403)
