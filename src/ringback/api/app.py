"""The ASGI application: publishes take the hot path, everything else the control plane."""

from __future__ import annotations

from collections.abc import Callable

from ringback.api.context import Context
from ringback.api.publish import ASGIScope, PublishRoute, Receive, Send
from ringback.ingest import Ingest


class App:
    def __init__(self, context: Context, ingest: Ingest, refused: Callable[[int], None]) -> None:
        from ringback.api.control import control_app

        self._publish = PublishRoute(context, ingest, refused)
        self._control = control_app(context)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and PublishRoute.serves(scope):
            await self._publish(scope, receive, send)
        else:
            await self._control(scope, receive, send)
