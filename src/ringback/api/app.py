"""The ASGI application: publishes go to their route, everything else to the control plane."""

from __future__ import annotations

from fastapi import Request

from ringback.api.browser import cookie_name, person_of
from ringback.api.context import Context
from ringback.api.control import control_app
from ringback.api.cookies import OwnCookieOnly
from ringback.api.publish import ASGIScope, Publishing, PublishRoute, Receive, Send, is_publish
from ringback.people import SignedIn


class App:
    def __init__(self, context: Context, publishing: Publishing) -> None:
        async def person(scope: ASGIScope) -> SignedIn | None:
            return await person_of(Request(scope), context)

        self._publish = OwnCookieOnly(PublishRoute(publishing, person), cookie_name(context.public_url))
        self._control = control_app(context)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_publish(scope["method"], scope["path"]):
            await self._publish(scope, receive, send)
        else:
            await self._control(scope, receive, send)
