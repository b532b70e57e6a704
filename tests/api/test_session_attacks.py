"""What is tried against sessions: other sites, others' tokens, guessed passwords, more than a role allows."""

from __future__ import annotations

import asyncio
import dataclasses

import httpx
import pytest

from ringback.model import Scope
from ringback.people import MINUTE_MS, Role
from tests.api.browser import PASSWORD, Browser, add_user, browser, refusal, signed_in
from tests.api.calls import CALLS, Call, make_tenant
from tests.api.conftest import Api

HTTPS = "https://hooks.acme.com"
CHANGE = ("POST", "/business", {"Name": "made by another site"})


# ---------------------------------------------------------------- other sites


async def test_a_change_without_the_token_is_refused(api: Api) -> None:
    ada = await signed_in(api)

    for token in (None, "", "guessed", "ä", f"{ada.csrf}x"):
        assert refusal(await ada.call(*CHANGE, csrf=token)) == (403, "PERMISSION_DENIED")
    assert (await ada.call(*CHANGE)).status_code == 201


async def test_a_token_of_somebody_else_or_of_another_session_is_refused(api: Api) -> None:
    ada, eve = await signed_in(api), await signed_in(api, Role.OWNER, "eve@example.com")
    elsewhere = browser(api)
    await elsewhere.sign_in("owner@example.com")

    for other in (eve, elsewhere):
        assert refusal(await ada.call(*CHANGE, csrf=other.csrf)) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://ringback.evil.example"},
        {"Origin": "http://evil.example/http://ringback"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://ringback"},
    ],
    ids=str,
)
async def test_a_page_of_another_site_is_refused_even_with_the_token(
    api: Api, headers: dict[str, str]
) -> None:
    ada = await signed_in(api)
    named = {name.replace("-", "_"): value for name, value in headers.items()}

    assert refusal(await ada.call(*CHANGE, **named)) == (403, "PERMISSION_DENIED")
    assert refusal(await browser(api).try_password("owner@example.com", **named)) == (
        403,
        "PERMISSION_DENIED",
    )
    first = {"Token": "x", "Email": "eve@example.com", "Password": PASSWORD}
    refused = await browser(api).call("POST", "/session/first", first, **named)
    assert refusal(refused) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://ringback"}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}],
    ids=str,
)
async def test_its_own_pages_and_programs_pass(api: Api, headers: dict[str, str]) -> None:
    ada = await signed_in(api)

    assert (await ada.call(*CHANGE, **headers)).status_code == 201
    assert (await browser(api).try_password("owner@example.com", **headers)).status_code == 200


async def test_behind_tls_only_the_public_address_is_its_own(api: Api) -> None:
    email, _ = await add_user(api)
    here = dataclasses.replace(api, context=dataclasses.replace(api.context, public_url=HTTPS))

    assert (await browser(here).try_password(email, Origin=HTTPS)).status_code == 200
    for origin in ("http://ringback", "http://hooks.acme.com", "https://hooks.acme.com:8443"):
        assert (await browser(here).try_password(email, Origin=origin)).status_code == 403


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
)
async def test_a_form_cannot_sign_anybody_in(api: Api, content_type: str) -> None:
    email, _ = await add_user(api)
    body = f'{{"Email":"{email}","Password":"{PASSWORD}"}}'

    answer = await browser(api).client.post(
        "/api/v1/session", content=body, headers={"Content-Type": content_type}
    )

    assert refusal(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert "set-cookie" not in answer.headers


async def test_no_other_site_may_read_an_answer(api: Api) -> None:
    ada = await signed_in(api)

    read = await ada.call("GET", "/session", Origin="https://evil.example")
    asked = await ada.client.options(
        "/api/v1/session",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )

    for answer in (read, asked):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert asked.status_code == 405


# ---------------------------------------------------------------- cookies


async def test_a_session_that_was_planted_is_not_taken_over(api: Api) -> None:
    eve = await signed_in(api, Role.VIEWER)
    victim = browser(api)
    victim.client.cookies.update(eve.client.cookies)
    email, _ = await add_user(api)

    await victim.sign_in(email)

    assert victim.cookie != eve.cookie
    assert (await eve.call("GET", "/session")).status_code == 401


@pytest.mark.parametrize(
    "value", ["", "x", "x" * 5_000, "ä", "a; b", "usr_0000000000001", "'; DROP TABLE users --"]
)
async def test_a_cookie_that_is_none_is_nobody(api: Api, value: str) -> None:
    answer = await browser(api).client.get(
        "/api/v1/session", headers={b"cookie": b"ringback_session=" + value.encode()}
    )

    assert refusal(answer) == (401, "INVALID_API_KEY")


async def test_a_token_is_not_taken_from_the_address(api: Api) -> None:
    ada = await signed_in(api)
    anonymous = browser(api)

    for name in ("token", "ringback_session", "X-CSRF-Token", "CsrfToken"):
        answer = await anonymous.client.get("/api/v1/session", params={name: ada.cookie or ""})
        assert answer.status_code == 401
        assert (ada.cookie or "?") not in answer.text


async def test_the_cookie_of_a_deleted_person_is_nobody_s(api: Api) -> None:
    eve = await signed_in(api, Role.OPERATOR)
    user_id = (await eve.data("GET", "/session"))["User"]["Id"]

    await api.data("DELETE", f"/users/{user_id}")

    assert refusal(await eve.call("GET", "/session")) == (401, "INVALID_API_KEY")
    assert refusal(await eve.try_password("operator@example.com")) == (401, "INVALID_API_KEY")


async def test_a_disabled_person_is_out_at_once_and_old_sessions_stay_ended(api: Api) -> None:
    eve = await signed_in(api, Role.OPERATOR)
    user_id = (await eve.data("GET", "/session"))["User"]["Id"]

    await api.data("PATCH", f"/users/{user_id}", {"Enabled": False})

    for method, path in (("GET", "/session"), ("GET", "/business"), ("DELETE", "/session")):
        assert refusal(await eve.call(method, path)) == (403, "USER_DISABLED")
    assert refusal(await browser(api).try_password("operator@example.com")) == (403, "USER_DISABLED")
    assert refusal(await browser(api).try_password("operator@example.com", "wrong")) == (
        401,
        "INVALID_API_KEY",
    )
    await api.data("PATCH", f"/users/{user_id}", {"Enabled": True})
    assert (await eve.call("GET", "/session")).status_code == 401
    assert (await browser(api).try_password("operator@example.com")).status_code == 200


# ---------------------------------------------------------------- roles


def _may(role: Role, call: Call) -> bool:
    """People see which businesses there are; all else goes by the scopes of their role."""
    surveying = call.method == "GET" and call.path in ("/business", "/business/{b}")
    allowed = {
        Role.OWNER: set(Scope),
        Role.OPERATOR: {Scope.PUBLISH, Scope.READ, Scope.MANAGE},
        Role.VIEWER: {Scope.READ},
    }
    return surveying or call.scope in allowed[role]


@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_what_its_scopes_open_and_nothing_else(api: Api, role: Role) -> None:
    tenant, person = await make_tenant(api), await signed_in(api, role)

    for call in sorted(CALLS, key=lambda call: call.method == "DELETE"):
        answer = await person.call(call.method, tenant.path(call), call.body)
        if _may(role, call):
            assert answer.is_success or answer.status_code == 409, (str(call), answer.text)
        else:
            assert refusal(answer) == (403, "PERMISSION_DENIED"), str(call)


async def test_an_operator_makes_nobody_an_owner(api: Api) -> None:
    eve = await signed_in(api, Role.OPERATOR)
    user_id = (await eve.data("GET", "/session"))["User"]["Id"]

    form = {"Email": "friend@example.com", "Role": "owner", "Password": PASSWORD}
    for method, path, body in (
        ("POST", "/users", form),
        ("PATCH", f"/users/{user_id}", {"Role": "owner"}),
        ("POST", "/keys", {"FriendlyName": "x", "Scopes": ["operator"]}),
    ):
        assert refusal(await eve.call(method, path, body)) == (403, "PERMISSION_DENIED")


async def test_a_demoted_person_s_sessions_end(api: Api) -> None:
    eve = await signed_in(api, Role.OPERATOR)
    user_id = (await eve.data("GET", "/session"))["User"]["Id"]

    await api.data("PATCH", f"/users/{user_id}", {"Role": "viewer"})

    assert (await eve.call("GET", "/session")).status_code == 401
    await eve.sign_in("operator@example.com")
    assert refusal(await eve.call("POST", "/business", {"Name": "x"})) == (403, "PERMISSION_DENIED")


# ---------------------------------------------------------------- guessed passwords


async def guess(one: Browser, email: str, times: int) -> list[httpx.Response]:
    return [await one.try_password(email, f"guess {number}") for number in range(times)]


async def test_wrong_passwords_are_answered_later_and_later(api: Api) -> None:
    email, _ = await add_user(api)
    eve, waits = browser(api), []
    api.clock.stand_still()

    assert {answer.status_code for answer in await guess(eve, email, 5)} == {401}
    for _ in range(12):
        refused = await eve.try_password(email, "guess")
        assert refusal(refused) == (429, "RATE_LIMITED")
        assert refused.headers["x-ratelimit-remaining"] == "0"
        waits.append(int(refused.headers["retry-after"]))
        api.clock.pass_ms(waits[-1] * 1_000)
        assert (await eve.try_password(email, "guess")).status_code == 401

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_the_right_password_waits_as_long_and_then_clears_the_count(api: Api) -> None:
    email, _ = await add_user(api)
    ada = browser(api)
    api.clock.stand_still()
    await guess(ada, email, 5)

    assert refusal(await ada.try_password(email)) == (429, "RATE_LIMITED")
    api.clock.pass_ms(1_000)
    await ada.sign_in(email)

    assert {answer.status_code for answer in await guess(browser(api), email, 5)} == {401}


async def test_many_guesses_at_once_gain_nothing(api: Api) -> None:
    email, _ = await add_user(api)
    eve = browser(api)
    api.clock.stand_still()

    answers = await asyncio.gather(*(eve.try_password(email, f"guess {number}") for number in range(40)))

    assert sorted({answer.status_code for answer in answers}) == [401, 429]
    assert [answer.status_code for answer in answers].count(401) == 5


async def test_guesses_over_many_accounts_from_one_address_are_slowed_too(api: Api) -> None:
    eve = browser(api)
    api.clock.stand_still()
    answers = [await eve.try_password(f"person{number}@example.com") for number in range(21)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert (await browser(api, "192.0.2.77").try_password("person1@example.com")).status_code == 401


async def test_guesses_from_many_addresses_at_one_account_are_slowed_too(api: Api) -> None:
    email, _ = await add_user(api)
    api.clock.stand_still()
    answers = [await browser(api, f"198.51.100.{number}").try_password(email, "x") for number in range(21)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429]


async def test_an_address_where_the_owner_is_signed_in_is_not_kept_out_by_strangers(api: Api) -> None:
    ada = await signed_in(api)
    api.clock.stand_still()
    for number in range(25):
        await browser(api, f"198.51.100.{number}").try_password("owner@example.com", "x")

    assert (await browser(api, "203.0.113.9").try_password("owner@example.com")).status_code == 429
    assert (await browser(api).try_password("owner@example.com")).status_code == 200
    assert (await ada.call("GET", "/session")).status_code == 200


async def test_nobody_is_kept_out_for_good(api: Api) -> None:
    email, _ = await add_user(api)
    eve = browser(api, "198.51.100.1")
    for _ in range(50):
        await eve.try_password(email, "x")
        api.clock.pass_ms(20 * MINUTE_MS)

    assert (await browser(api).try_password(email)).status_code == 200


async def test_unknown_people_are_answered_and_slowed_as_known_ones(api: Api) -> None:
    await add_user(api, Role.OWNER, "known@example.com")
    api.clock.stand_still()

    known = await guess(browser(api, "198.51.100.1"), "known@example.com", 7)
    unknown = await guess(browser(api, "198.51.100.2"), "unknown@example.com", 7)

    assert [answer.status_code for answer in known] == [answer.status_code for answer in unknown]
    assert [answer.json() for answer in known] == [answer.json() for answer in unknown]


async def test_confirming_and_changing_a_password_are_slowed_too(api: Api) -> None:
    ada = await signed_in(api)
    api.clock.stand_still()
    form = {"Password": "another password", "CurrentPassword": "guess"}

    for _ in range(3):
        assert (await ada.call("POST", "/session/confirm", {"Password": "guess"})).status_code == 422
    for _ in range(2):
        assert (await ada.call("PATCH", "/session", form)).status_code == 422

    assert refusal(await ada.call("PATCH", "/session", form)) == (429, "RATE_LIMITED")
    assert refusal(await ada.call("POST", "/session/confirm", {"Password": PASSWORD})) == (
        429,
        "RATE_LIMITED",
    )


async def test_an_account_s_new_password_ends_the_wait(api: Api) -> None:
    email, user_id = await add_user(api)
    await guess(browser(api), email, 6)

    await api.data("PATCH", f"/users/{user_id}", {"Password": "a new password"})

    assert (await browser(api).try_password(email, "a new password")).status_code == 200
