"""The ASGI application: publishes go to their route, everything else to the control plane."""

from __future__ import annotations

from ringback.api.context import Context
from ringback.api.control import control_app
from ringback.api.publish import ASGIScope, Publishing, PublishRoute, Receive, Send, is_publish


class App:
    def __init__(self, context: Context, publishing: Publishing) -> None:
        self._publish = PublishRoute(publishing)
        self._control = control_app(context)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_publish(scope["method"], scope["path"]):
            await self._publish(scope, receive, send)
        else:
            await self._control(scope, receive, send)
