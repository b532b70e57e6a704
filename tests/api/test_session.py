"""Signing in and out: the cookie, what ends a session, the first owner, what people change of themselves."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest
from argon2 import PasswordHasher

from ringback.model import Scope
from ringback.people import IDLE_MS, LONGEST_MS, MAX_SESSIONS_PER_USER, MINUTE_MS, Role, session_digest
from ringback.people.passwords import MAX_CHARACTERS, Passwords
from tests.api.browser import PASSWORD, add_user, browser, refusal, signed_in
from tests.api.conftest import Api

HOUR_MS = 60 * MINUTE_MS


async def test_who_signs_in_is_known_by_a_cookie(api: Api) -> None:
    email, user_id = await add_user(api, Role.OPERATOR)
    ada = browser(api)

    shown = await ada.sign_in(email.upper())

    assert shown["User"]["Id"] == user_id
    assert shown["User"]["LastSignInAt"] is not None
    assert shown["Scopes"] == ["manage", "publish", "read"]
    assert await ada.data("GET", "/session") == shown
    assert (await ada.call("GET", "/business")).status_code == 200


async def test_the_cookie_is_kept_from_scripts_and_other_sites(api: Api) -> None:
    email, _ = await add_user(api)

    plain = (await browser(api).try_password(email)).headers["set-cookie"]
    behind_tls = dataclasses.replace(api.context, public_url="https://hooks.acme.com")
    safe = (await browser(dataclasses.replace(api, context=behind_tls)).try_password(email)).headers[
        "set-cookie"
    ]

    assert plain.startswith("ringback_session=")
    assert safe.startswith("__Host-ringback_session=")
    for cookie in (plain, safe):
        assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    assert "Secure" in safe
    assert "Secure" not in plain


async def test_the_database_cannot_be_used_to_sign_in(api: Api) -> None:
    ada = await signed_in(api)
    assert ada.cookie is not None

    assert await api.store.find_session(session_digest(ada.cookie.encode()), api.clock()) is not None
    stored = ada.cookie.encode()
    for file in api.folder.iterdir():
        if file.is_file():
            assert stored not in file.read_bytes()
            assert PASSWORD.encode() not in file.read_bytes()


async def test_answers_of_a_session_are_not_kept_by_caches(api: Api) -> None:
    ada = await signed_in(api)

    assert (await ada.call("GET", "/session")).headers["cache-control"] == "no-store"


async def test_signing_out_ends_the_session_in_every_tab(api: Api) -> None:
    ada = await signed_in(api)
    other_tab = browser(api)
    other_tab.client.cookies.update(ada.client.cookies)
    other_tab.csrf = ada.csrf

    answer = await ada.call("DELETE", "/session")

    assert answer.status_code == 200
    assert "ringback_session" not in ada.client.cookies
    assert refusal(await other_tab.call("GET", "/session")) == (401, "INVALID_API_KEY")
    assert refusal(await other_tab.call("DELETE", "/session")) == (401, "INVALID_API_KEY")


async def test_a_session_ends_when_it_is_not_used(api: Api) -> None:
    ada = await signed_in(api)

    for _ in range(3):
        api.clock.pass_ms(IDLE_MS - HOUR_MS)
        assert (await ada.call("GET", "/session")).status_code == 200
    api.clock.pass_ms(IDLE_MS)

    assert refusal(await ada.call("GET", "/session")) == (401, "INVALID_API_KEY")


async def test_a_session_ends_however_much_it_is_used(api: Api) -> None:
    ada = await signed_in(api)

    passed = 0
    while passed < LONGEST_MS - IDLE_MS:
        api.clock.pass_ms(IDLE_MS - HOUR_MS)
        passed += IDLE_MS - HOUR_MS
        assert (await ada.call("GET", "/session")).status_code == 200
    api.clock.pass_ms(LONGEST_MS - passed)

    assert refusal(await ada.call("GET", "/session")) == (401, "INVALID_API_KEY")


async def test_a_session_is_written_to_once_a_minute_at_most(api: Api) -> None:
    ada = await signed_in(api)
    assert ada.cookie is not None
    digest = session_digest(ada.cookie.encode())

    async def seen_at() -> int:
        found = await api.store.find_session(digest, api.clock())
        assert found is not None
        return found.session.seen_at

    first = await seen_at()
    await ada.data("GET", "/session")
    assert await seen_at() == first
    api.clock.pass_ms(MINUTE_MS)
    await ada.data("GET", "/session")
    assert await seen_at() >= first + MINUTE_MS


async def test_a_user_has_so_many_sessions_and_no_more(api: Api) -> None:
    email, _ = await add_user(api)
    first = browser(api)
    await first.sign_in(email)
    for _ in range(MAX_SESSIONS_PER_USER):
        api.clock.pass_ms(1)
        await browser(api).sign_in(email)

    assert (await first.call("GET", "/session")).status_code == 401


async def test_a_key_asks_who_it_is_and_has_no_session(api: Api) -> None:
    business_id = await api.business()
    key = await api.key(Scope.READ, businesses=[business_id])

    shown = await api.data("GET", "/session", key=key)

    assert shown["Key"] == {"FriendlyName": "test", "RestrictedBusinessIds": [business_id]}
    assert (shown["User"], shown["Scopes"], shown["CsrfToken"]) == (None, ["read"], None)
    for method, path, body in (
        ("DELETE", "/session", None),
        ("PATCH", "/session", {"Name": "x"}),
        ("POST", "/session/confirm", {"Password": "x"}),
    ):
        assert refusal(await api.call(method, path, body, key=key)) == (403, "PERMISSION_DENIED")


async def test_a_key_beside_a_cookie_is_who_calls(api: Api) -> None:
    viewer = await signed_in(api, Role.VIEWER)
    key = await api.key(Scope.OPERATOR)

    made = await viewer.call("POST", "/business", {"Name": "x"}, csrf=None, Authorization=f"Token {key}")
    wrong = await viewer.call("GET", "/session", Authorization="Token rbk_wrong")

    assert made.status_code == 201
    assert refusal(wrong) == (401, "INVALID_API_KEY")


# ---------------------------------------------------------------- the first owner


async def test_the_one_time_link_makes_the_first_owner_and_is_used_up(api: Api) -> None:
    assert await api.store.renew_welcome(session_digest(b"link"))
    form = {"Token": "link", "Email": "ada@example.com", "Name": "Ada", "Password": PASSWORD}
    ada = browser(api)

    made = await ada.call("POST", "/session/first", form)

    assert made.status_code == 201
    shown = made.json()["Data"]
    assert (shown["User"]["Role"], shown["User"]["Name"]) == ("owner", "Ada")
    ada.csrf = shown["CsrfToken"]
    assert (await ada.call("POST", "/business", {"Name": "Acme"})).status_code == 201
    again = await browser(api).call("POST", "/session/first", {**form, "Email": "eve@example.com"})
    assert refusal(again) == (409, "CONFLICT")
    assert not await api.store.renew_welcome(session_digest(b"another"))


async def test_only_the_newest_link_is_taken(api: Api) -> None:
    await api.store.renew_welcome(session_digest(b"older"))
    await api.store.renew_welcome(session_digest(b"newer"))
    form = {"Email": "eve@example.com", "Password": PASSWORD}

    for token in ("older", "guessed"):
        response = await browser(api).call("POST", "/session/first", {"Token": token, **form})
        assert refusal(response) == (401, "INVALID_API_KEY")
    assert (await browser(api).call("POST", "/session/first", {"Token": "newer", **form})).status_code == 201


async def test_a_link_is_of_no_use_once_somebody_was_added_otherwise(api: Api) -> None:
    await api.store.renew_welcome(session_digest(b"link"))
    await add_user(api)

    form = {"Token": "link", "Email": "eve@example.com", "Password": PASSWORD}

    assert refusal(await browser(api).call("POST", "/session/first", form)) == (409, "CONFLICT")


# ---------------------------------------------------------------- oneself


async def test_people_change_their_name_and_password(api: Api) -> None:
    ada = await signed_in(api, Role.VIEWER)
    elsewhere = browser(api)
    await elsewhere.sign_in("viewer@example.com")

    assert (await ada.data("PATCH", "/session", {"Name": "Ada"}))["User"]["Name"] == "Ada"
    assert (await ada.data("PATCH", "/session", {"Name": None}))["User"]["Name"] is None
    await ada.data("PATCH", "/session", {"Password": "another password", "CurrentPassword": PASSWORD})

    assert (await ada.call("GET", "/session")).status_code == 200
    assert (await elsewhere.call("GET", "/session")).status_code == 401
    assert (await browser(api).try_password("viewer@example.com")).status_code == 401
    await browser(api).sign_in("viewer@example.com", "another password")


async def test_of_two_changes_of_a_password_at_once_one_counts(api: Api) -> None:
    ada = await signed_in(api, Role.VIEWER)
    thief = browser(api)
    await thief.sign_in("viewer@example.com")

    answers = await asyncio.gather(
        *(
            one.call("PATCH", "/session", {"Password": password, "CurrentPassword": PASSWORD})
            for one, password in ((ada, "first of them"), (thief, "second of them"))
        )
    )

    # Whoever is late finds a session that has ended, or a password that is another.
    assert [answer.status_code for answer in answers].count(200) == 1, answers
    assert [(await one.call("GET", "/session")).status_code for one in (ada, thief)].count(200) == 1


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"Password": "another password"}, "CurrentPassword"),
        ({"Password": "another password", "CurrentPassword": "wrong"}, "CurrentPassword"),
        ({"CurrentPassword": PASSWORD}, "Password"),
        ({"Password": "short", "CurrentPassword": PASSWORD}, "Password"),
        ({"Password": None}, "Password"),
        ({"Role": "owner"}, "Role"),
        ({"Enabled": True}, "Enabled"),
        ({"Email": "x@example.com"}, "Email"),
    ],
)
async def test_what_people_cannot_change_about_themselves_is_named(
    api: Api, form: object, field: str
) -> None:
    ada = await signed_in(api, Role.VIEWER)

    response = await ada.call("PATCH", "/session", form)

    assert response.status_code == 422
    assert [fault["Field"] for fault in response.json()["Errors"]] == [field]
    await browser(api).sign_in("viewer@example.com")


async def test_a_confirmed_password_makes_the_session_fresh_again(api: Api) -> None:
    ada = await signed_in(api)
    _, other = await add_user(api, Role.VIEWER)
    api.clock.pass_ms(11 * MINUTE_MS)
    form = {"Password": "set by an owner"}

    assert refusal(await ada.call("PATCH", f"/users/{other}", form)) == (403, "PERMISSION_DENIED")
    assert (await ada.call("POST", "/session/confirm", {"Password": "wrong"})).status_code == 422
    assert refusal(await ada.call("PATCH", f"/users/{other}", form)) == (403, "PERMISSION_DENIED")
    await ada.data("POST", "/session/confirm", {"Password": PASSWORD})
    assert (await ada.call("PATCH", f"/users/{other}", form)).status_code == 200


async def test_a_secret_is_revealed_to_a_fresh_sign_in_or_a_key(api: Api) -> None:
    business_id = await api.business()
    integration = await api.integration(business_id, GenerateSecret=True)
    reveal = ("POST", f"/business/{business_id}/integrations/{integration['Id']}/secret/reveal")
    eve = await signed_in(api, Role.OPERATOR)

    assert (await eve.call(*reveal)).json()["Data"]["Secret"] == integration["Secret"]
    api.clock.pass_ms(11 * MINUTE_MS)
    assert refusal(await eve.call(*reveal)) == (403, "PERMISSION_DENIED")
    assert (await api.call(*reveal)).status_code == 200
    await eve.data("POST", "/session/confirm", {"Password": PASSWORD})
    assert (await eve.call(*reveal)).status_code == 200


# ---------------------------------------------------------------- passwords


class Untouched(PasswordHasher):
    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        raise AssertionError(f"hashed {len(password)} characters with {salt!r}")


@pytest.mark.parametrize("password", ["1234567", "x" * (MAX_CHARACTERS + 1), "x" * 1_000_000, "", None, 7])
async def test_a_password_that_is_none_is_refused_before_it_is_hashed(api: Api, password: object) -> None:
    costly = dataclasses.replace(api.context, passwords=Passwords(Untouched()))
    here = dataclasses.replace(api, context=costly)
    await api.store.renew_welcome(session_digest(b"link"))

    form = {"Token": "link", "Email": "ada@example.com", "Password": password}
    response = await browser(here).call("POST", "/session/first", form)

    assert refusal(response) == (422, "VALIDATION_FAILED")
    assert [fault["Field"] for fault in response.json()["Errors"]] == ["Password"]
    assert len(response.text) < 500


async def test_a_password_may_be_long_and_of_any_letters(api: Api) -> None:
    password = "ä" * (MAX_CHARACTERS - 2) + "\U0001f511\x00"
    await api.data("POST", "/users", {"Email": "a@b", "Role": "viewer", "Password": password})

    await browser(api).sign_in("a@b", password)


async def test_a_hash_of_another_cost_is_made_anew_at_the_next_sign_in(api: Api) -> None:
    email, _ = await add_user(api)
    before = await api.store.credentials(email)
    dearer = dataclasses.replace(
        api.context, passwords=Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    )
    here = dataclasses.replace(api, context=dearer)

    await browser(here).sign_in(email)

    after = await api.store.credentials(email)
    assert before is not None
    assert after is not None
    assert "t=1" in before.password_hash
    assert "t=2" in after.password_hash
    await browser(here).sign_in(email)


async def test_nothing_of_a_password_or_a_token_is_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ada = await signed_in(api)
    await ada.try_password("owner@example.com", "a wrong password")
    assert ada.cookie is not None

    for said in (PASSWORD, "a wrong password", ada.cookie, ada.csrf or ""):
        assert said not in caplog.text
