"""A person at a browser: cookies are kept, the page that calls is named, the CSRF token is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from ringback.api.control import control_app
from ringback.people import Role
from tests.api.conftest import Api

PASSWORD = "correct horse battery"
ADDRESS = "192.0.2.1"


@dataclass
class Browser:
    client: httpx.AsyncClient
    csrf: str | None = None

    async def call(
        self, method: str, path: str, json: Any = None, *, csrf: str | None = "own", **headers: str
    ) -> httpx.Response:
        token = self.csrf if csrf == "own" else csrf
        sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        if token:
            sent[b"X-CSRF-Token"] = token.encode()
        return await self.client.request(method, f"/api/v1{path}", json=json, headers=sent)

    async def data(self, method: str, path: str, json: Any = None) -> Any:
        response = await self.call(method, path, json)
        assert response.is_success, response.text
        return response.json()["Data"]

    async def try_password(self, email: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        return await self.call("POST", "/session", {"Email": email, "Password": password}, **headers)

    async def sign_in(self, email: str, password: str = PASSWORD) -> Any:
        response = await self.try_password(email, password)
        assert response.status_code == 200, response.text
        shown = response.json()["Data"]
        self.csrf = shown["CsrfToken"]
        return shown

    @property
    def cookie(self) -> str | None:
        return self.client.cookies.get("ringback_session")


def browser(api: Api, address: str = ADDRESS) -> Browser:
    transport = httpx.ASGITransport(
        app=control_app(api.context), raise_app_exceptions=False, client=(address, 40_000)
    )
    return Browser(httpx.AsyncClient(transport=transport, base_url="http://ringback"))


async def add_user(api: Api, role: Role = Role.OWNER, email: str | None = None) -> tuple[str, str]:
    """A user with PASSWORD: the email and the id."""
    form = {"Email": email or f"{role}@example.com", "Role": role, "Password": PASSWORD}
    user = await api.data("POST", "/users", form)
    return user["Email"], user["Id"]


async def signed_in(api: Api, role: Role = Role.OWNER, email: str | None = None) -> Browser:
    one = browser(api)
    await one.sign_in((await add_user(api, role, email))[0])
    return one


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["Code"]
