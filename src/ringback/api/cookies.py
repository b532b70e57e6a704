"""The one cookie that counts, taken out of whatever a request carries before the framework reads any.

The framework reads the cookies of every request, and unquotes them with the standard library's means: in
some versions of Python a long one keeps the whole process busy for half a minute.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

MAX_TOKEN_CHARACTERS = 100

RawHeader = tuple[bytes, bytes]


class OwnCookieOnly:
    """ASGI: what is behind it sees the cookie of this name, where it can be a token, and no other."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._own = re.compile(rb"\s*%s=[A-Za-z0-9_-]{1,%d}\s*" % (name.encode(), MAX_TOKEN_CHARACTERS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = self._without_others(scope["headers"])
        await self._app(scope, receive, send)

    def _without_others(self, headers: list[RawHeader]) -> list[RawHeader]:
        cookies = [value for name, value in headers if name == b"cookie"]
        if not cookies:
            return headers
        kept = [header for header in headers if header[0] != b"cookie"]
        own = [part.strip() for cookie in cookies for part in cookie.split(b";") if self._own.fullmatch(part)]
        return [*kept, (b"cookie", own[-1])] if own else kept
