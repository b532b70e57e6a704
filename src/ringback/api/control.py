"""The control plane: every call but publish, and the OpenAPI document of all of them."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader
from starlette.exceptions import HTTPException
from starlette.routing import Match

from ringback.api import (
    audit_log,
    bulk_retry,
    businesses,
    deliveries,
    event_log,
    event_types,
    health,
    integrations,
    keys,
    publish_document,
    secrets,
    session,
    stats,
    stream,
    system,
    test_sends,
    users,
)
from ringback.api.answers import Answer, Code, answer_of, failure
from ringback.api.browser import COOKIE, cookie_name
from ringback.api.context import Context
from ringback.api.cookies import OwnCookieOnly
from ringback.api.route import respond
from ringback.api.webhooks_document import webhooks
from ringback.errors import NotFound

_DESCRIPTION = """
Webhook delivery. Every call under `/api/v1` takes an API key, as `Authorization: Token <key>`, or the session
of a person who has signed in, and every answer has the same envelope. Fields are PascalCase, times UTC, lists
newest first in pages.
"""
_API_KEY = APIKeyHeader(
    name="Authorization",
    scheme_name="ApiKey",
    description="`Token <key>` or `Bearer <key>`",
    auto_error=False,
)
_SESSION = APIKeyCookie(
    name=COOKIE,
    scheme_name="Session",
    description="Set by `POST /api/v1/session`; `__Host-` is before its name where `public_url` is https. "
    "All but GET calls need `X-CSRF-Token` too",
    auto_error=False,
)
_RESOURCES = (
    businesses.router,
    keys.router,
    event_types.router,
    event_log.router,
    integrations.router,
    secrets.router,
    test_sends.router,
    deliveries.router,
    bulk_retry.router,
    stats.router,
    stream.router,
    session.router,
    users.router,
    audit_log.router,
    system.router,
)
_ALL = (*_RESOURCES, session.open_router, publish_document.router, health.router)


def control_app(context: Context) -> FastAPI:
    app = FastAPI(
        title="ringback",
        version=context.version,
        description=_DESCRIPTION,
        redirect_slashes=False,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.context = context
    app.add_middleware(OwnCookieOnly, name=cookie_name(context.public_url))
    for router in _RESOURCES:
        app.include_router(router, dependencies=[Depends(_API_KEY), Depends(_SESSION)])
    app.include_router(session.open_router)
    app.include_router(health.router)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


async def _not_served(request: Request, error: Exception) -> Response:
    """A path or a verb that no route has."""
    return respond(_not_served_answer(request, error))


def _not_served_answer(request: Request, error: Exception) -> Answer:
    if not isinstance(error, HTTPException) or error.status_code != 405:
        return answer_of(NotFound("there is nothing under this path"))
    verbs = ", ".join(sorted(_verbs(request)))
    return failure(Code.METHOD_NOT_ALLOWED, f"this path takes {verbs}", headers=[(b"allow", verbs.encode())])


def _verbs(request: Request) -> set[str]:
    routes = [route for router in _ALL for route in router.routes]
    return {
        verb
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for verb in getattr(route, "methods", None) or ()
    }


async def _broken(_: Request, error: Exception) -> Response:
    return respond(answer_of(error))


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        published = FastAPI(generate_unique_id_function=_operation_id)
        published.include_router(publish_document.router, dependencies=[Depends(_API_KEY), Depends(_SESSION)])
        app.openapi_schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=[*app.routes, *published.routes],
        )
        app.openapi_schema["webhooks"] = webhooks()
    return app.openapi_schema
