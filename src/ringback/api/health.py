"""What machines ask at the root, without a key: is it alive, does it take traffic, how does it do."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response

from ringback.api.objects import Shown
from ringback.api.reach import context_of

router = APIRouter(tags=["Health"])


class Live(Shown):
    status: Literal["live"] = "live"


class Ready(Shown):
    status: Literal["ready"] = "ready"


class Unready(Shown):
    status: Literal["unready"] = "unready"
    reason: str


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> Live:
    """The process runs."""
    return Live()


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready", responses={503: {"model": Unready, "description": "It takes no traffic now"}})
async def ready(request: Request, response: Response) -> Ready | Unready:
    """It takes traffic: it is not draining, and the database can commit."""
    reason = context_of(request).unready()
    if reason is None:
        return Ready()
    response.status_code = 503
    return Unready(reason=reason)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"example": "# TYPE ringback_in_flight gauge"}}}},
)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    content_type, body = await context_of(request).metrics()
    return Response(body, headers={"content-type": content_type})
