"""Cookies that come with a call: one of them counts, and no other is read."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from ringback.api.cookies import MAX_TOKEN_CHARACTERS, OwnCookieOnly
from ringback.people import Role
from tests.api.browser import refusal, signed_in
from tests.api.conftest import Api

TOKEN = "gX7-_wQ"
# Unquoted by Python 3.11.7, this one takes half a minute.
QUOTED = '"' + "\\\\" * 60_000 + '"'


async def cookies_behind(*headers: str) -> dict[str, str]:
    """What the framework finds where a request came with these `Cookie` headers."""
    found: list[dict[str, str]] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        found.append(Request(scope).cookies)

    async def receive() -> Message:
        raise AssertionError("there is nothing to receive")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    raw = [(b"cookie", header.encode("latin-1")) for header in headers]
    scope = {"type": "http", "headers": [(b"host", b"ringback"), *raw]}
    await OwnCookieOnly(app, "session")(scope, receive, send)
    assert scope["headers"][0] == (b"host", b"ringback")
    return found[0]


@pytest.mark.parametrize(
    "headers",
    [
        [f"session={TOKEN}"],
        [f"theme=dark; session={TOKEN}; lang=de"],
        [f"a={QUOTED}; session={TOKEN}; b={QUOTED}"],
        ["theme=dark", f"session={TOKEN}"],
        [f"session={QUOTED}; session={TOKEN}"],
        [f"session=older; session={TOKEN}; session="],
        [f";;=;session={TOKEN};=\xff"],
    ],
    ids=str,
)
async def test_only_the_sessions_cookie_is_read(headers: list[str]) -> None:
    assert await cookies_behind(*headers) == {"session": TOKEN}


@pytest.mark.parametrize(
    "header",
    [
        "",
        TOKEN,
        f"a={QUOTED}",
        f"session={QUOTED}",
        f'session="{TOKEN}"',
        f"Session={TOKEN}",
        f"my-session={TOKEN}",
        f"session={TOKEN}\xe9",
        f"session={TOKEN} {TOKEN}",
        f"session={'x' * (MAX_TOKEN_CHARACTERS + 1)}",
    ],
    ids=lambda header: header[:40],
)
async def test_what_cannot_be_a_token_is_not_read_either(header: str) -> None:
    assert await cookies_behind(header) == {}


async def test_a_session_goes_on_among_other_cookies(api: Api) -> None:
    ada = await signed_in(api, Role.VIEWER)
    mine = f"ringback_session={ada.cookie}"
    ada.client.cookies.clear()

    assert (await ada.call("GET", "/session", Cookie=f"a={QUOTED}; {mine}; b=1")).status_code == 200
    quoted = await ada.call("GET", "/session", Cookie=f'ringback_session="{ada.cookie}"')
    assert refusal(quoted) == (401, "INVALID_API_KEY")
