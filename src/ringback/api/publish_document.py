"""The publish call as the OpenAPI document shows it. `publish.PublishRoute` is what serves it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.forms import Form
from ringback.api.objects import Envelope
from ringback.api.reach import BusinessId
from ringback.api.refusals import WITH_BODY, refusals
from ringback.errors import FieldError
from ringback.payloads import EVENT_ID, MAX_EVENTS

router = APIRouter(prefix="/api/v1/business/{BusinessId}/events", tags=["Events"])

_FAULT = FieldError("[3].EventType", "is not a registered event type; did you mean call.completed?")


class PublishEvent(Form):
    event_type: str = Field(examples=["call.completed"])
    data: dict[str, Any] = Field(description="Delivered byte for byte as sent")
    event_id: str | None = Field(
        None,
        pattern=rf"^{EVENT_ID.pattern}$",
        description="Makes a repeated publish harmless: the same one is accepted once",
    )
    timestamp: objects.Time | None = Field(None, description="When it occurred, RFC 3339; default now")


Batch = Annotated[list[PublishEvent], Field(min_length=1, max_length=MAX_EVENTS)]


@router.post(
    "",
    status_code=202,
    responses=refusals(Code.NOT_FOUND, Code.BUSINESS_DISABLED, *WITH_BODY, fault=_FAULT),
)
async def publish(
    business_id: BusinessId, body: PublishEvent | Batch
) -> Envelope[objects.Published | list[objects.Published]]:
    """Publish one event, or an array of them, all or nothing. A 202 means: committed to disk."""
    raise AssertionError(f"served elsewhere: {business_id}, {body}")
