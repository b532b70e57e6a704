"""People as owners manage them: added, changed, removed, and one owner always left."""

from __future__ import annotations

import asyncio

import pytest

from ringback.people import Role
from tests.api.browser import PASSWORD, add_user, browser, refusal, signed_in
from tests.api.conftest import Api


async def test_a_person_is_shown_without_the_password(api: Api) -> None:
    form = {"Email": "Ada@Example.com", "Name": "Ada", "Role": "operator", "Password": PASSWORD}

    created = await api.call("POST", "/users", form)

    user = created.json()["Data"]
    assert created.status_code == 201
    assert user.pop("Password") is None
    assert user["Id"].startswith("usr_")
    assert (user["Email"], user["Name"], user["Role"]) == ("Ada@Example.com", "Ada", "operator")
    assert (user["Enabled"], user["LastSignInAt"]) == (True, None)
    assert await api.data("GET", f"/users/{user['Id']}") == user
    listed = await api.call("GET", "/users")
    assert listed.json()["Data"]["Items"] == [user]
    assert "argon2" not in listed.text + created.text


async def test_without_a_password_one_is_made_and_shown_this_once(api: Api) -> None:
    created = await api.call("POST", "/users", {"Email": "ada@example.com", "Role": "viewer"})

    password = created.json()["Data"]["Password"]
    assert len(password) == 20
    assert created.headers["cache-control"] == "no-store"
    await browser(api).sign_in("ada@example.com", password)
    assert password not in (await api.call("GET", "/users")).text


async def test_an_email_is_one_person_s_whatever_its_case(api: Api) -> None:
    _, user_id = await add_user(api, Role.VIEWER, "ada@example.com")
    again = {"Email": "ADA@EXAMPLE.COM", "Role": "viewer", "Password": PASSWORD}

    assert refusal(await api.call("POST", "/users", again)) == (409, "CONFLICT")
    await api.data("DELETE", f"/users/{user_id}")
    assert (await api.call("POST", "/users", again)).status_code == 201


async def test_people_are_listed_newest_first_page_by_page(api: Api) -> None:
    emails = []
    for number in range(5):
        api.clock.pass_ms(1)
        emails.append((await add_user(api, Role.VIEWER, f"person{number}@example.com"))[0])

    first = await api.data("GET", "/users?Limit=3")
    second = await api.data("GET", f"/users?Limit=3&Cursor={first['NextCursor']}")

    assert [user["Email"] for user in first["Items"] + second["Items"]] == emails[::-1]
    assert second["NextCursor"] is None


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"Role": "viewer"}, "Email"),
        ({"Email": "ada@example.com"}, "Role"),
        ({"Email": "ada@example.com", "Role": "root"}, "Role"),
        ({"Email": "ada", "Role": "viewer"}, "Email"),
        ({"Email": "@example.com", "Role": "viewer"}, "Email"),
        ({"Email": "ada@", "Role": "viewer"}, "Email"),
        ({"Email": "ada @example.com", "Role": "viewer"}, "Email"),
        ({"Email": "ada@example.com\n", "Role": "viewer"}, "Email"),
        ({"Email": "a" * 250 + "@b.de", "Role": "viewer"}, "Email"),
        ({"Email": "ada@example.com", "Role": "viewer", "Password": "short"}, "Password"),
        ({"Email": "ada@example.com", "Role": "viewer", "Password": "x" * 1_025}, "Password"),
        ({"Email": "ada@example.com", "Role": "viewer", "Name": ""}, "Name"),
        ({"Email": "ada@example.com", "Role": "viewer", "Name": "a\nb"}, "Name"),
        ({"Email": "ada@example.com", "Role": "viewer", "Enabled": False}, "Enabled"),
        ({"Email": "ada@example.com", "Role": "viewer", "PasswordHash": "x"}, "PasswordHash"),
    ],
)
async def test_a_fault_is_named(api: Api, form: object, field: str) -> None:
    response = await api.call("POST", "/users", form)

    assert response.status_code == 422
    assert [fault["Field"] for fault in response.json()["Errors"]] == [field]


async def test_only_what_is_sent_changes(api: Api) -> None:
    _, user_id = await add_user(api, Role.VIEWER)

    named = await api.data("PATCH", f"/users/{user_id}", {"Name": "Ada"})
    raised = await api.data("PATCH", f"/users/{user_id}", {"Role": "operator"})
    unnamed = await api.data("PATCH", f"/users/{user_id}", {"Name": None})

    assert (named["Name"], named["Role"], named["Enabled"]) == ("Ada", "viewer", True)
    assert (raised["Name"], raised["Role"]) == ("Ada", "operator")
    assert (unnamed["Name"], unnamed["Role"]) == (None, "operator")


@pytest.mark.parametrize("field", ["Role", "Enabled", "Password"])
async def test_what_cannot_be_null_is_named(api: Api, field: str) -> None:
    _, user_id = await add_user(api, Role.VIEWER)

    response = await api.call("PATCH", f"/users/{user_id}", {field: None})

    assert response.status_code == 422
    assert [fault["Field"] for fault in response.json()["Errors"]] == [field]


async def test_a_new_password_is_the_only_one_and_ends_the_sessions(api: Api) -> None:
    ada = await signed_in(api, Role.VIEWER)
    user_id = (await ada.data("GET", "/session"))["User"]["Id"]

    await api.data("PATCH", f"/users/{user_id}", {"Password": "a new password"})

    assert (await ada.call("GET", "/session")).status_code == 401
    assert (await ada.try_password("viewer@example.com")).status_code == 401
    await ada.sign_in("viewer@example.com", "a new password")


async def test_owners_who_change_their_own_password_stay_signed_in_here_alone(api: Api) -> None:
    ada, elsewhere = await signed_in(api), browser(api)
    await elsewhere.sign_in("owner@example.com")
    user_id = (await ada.data("GET", "/session"))["User"]["Id"]

    await ada.data("PATCH", f"/users/{user_id}", {"Password": "a new password"})

    assert (await ada.call("GET", "/session")).status_code == 200
    assert (await elsewhere.call("GET", "/session")).status_code == 401


# ---------------------------------------------------------------- the last owner


@pytest.mark.parametrize("change", [{"Role": "operator"}, {"Enabled": False}, None], ids=str)
async def test_the_last_enabled_owner_stays(api: Api, change: object) -> None:
    _, owner = await add_user(api)
    _, other = await add_user(api, Role.OWNER, "other@example.com")
    await api.data("PATCH", f"/users/{other}", {"Enabled": False})
    method = "DELETE" if change is None else "PATCH"

    assert refusal(await api.call(method, f"/users/{owner}", change)) == (409, "CONFLICT")

    assert (await api.data("GET", f"/users/{owner}"))["Role"] == "owner"
    await browser(api).sign_in("owner@example.com")
    await api.data("PATCH", f"/users/{other}", {"Enabled": True})
    assert (await api.call(method, f"/users/{owner}", change)).status_code == 200


async def test_two_owners_who_remove_each_other_at_once_leave_one(api: Api) -> None:
    ada, bob = await signed_in(api), await signed_in(api, Role.OWNER, "bob@example.com")
    ids = [(await one.data("GET", "/session"))["User"]["Id"] for one in (ada, bob)]

    answers = await asyncio.gather(
        ada.call("DELETE", f"/users/{ids[1]}"), bob.call("DELETE", f"/users/{ids[0]}")
    )

    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])
    assert len((await api.data("GET", "/users"))["Items"]) == 1


async def test_of_many_demotions_at_once_one_is_refused(api: Api) -> None:
    ids = [(await add_user(api, Role.OWNER, f"owner{number}@example.com"))[1] for number in range(5)]

    answers = await asyncio.gather(
        *(api.call("PATCH", f"/users/{user_id}", {"Role": "viewer"}) for user_id in ids)
    )

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 409]
    roles = [user["Role"] for user in (await api.data("GET", "/users"))["Items"]]
    assert roles.count("owner") == 1


async def test_who_is_no_owner_can_be_changed_where_there_is_none(api: Api) -> None:
    _, user_id = await add_user(api, Role.VIEWER)

    await api.data("PATCH", f"/users/{user_id}", {"Enabled": False})
    await api.data("DELETE", f"/users/{user_id}")

    assert (await api.call("GET", f"/users/{user_id}")).status_code == 404
