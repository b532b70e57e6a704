"""Test sends: one event to one integration, now, once."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.delivery_views import show_attempt, show_explanation
from ringback.api.forms import Form
from ringback.api.integrations import IntegrationId, find
from ringback.api.objects import Envelope
from ringback.api.reach import Managing, Tenant
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.catalog import MAX_NAME_LENGTH, nearest
from ringback.errors import BodyTooLarge, BusinessDisabled, FieldError, InvalidRequest
from ringback.explain import explain
from ringback.model import Message
from ringback.payloads import check_data

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/integrations", tags=["Integrations"], route_class=ControlRoute
)

_FAULT = FieldError("EventType", "is not a registered event type; did you mean call.completed?")


class SendTest(Form):
    event_type: str = Field(max_length=MAX_NAME_LENGTH, examples=["call.completed"])
    data: dict[str, Any] | None = Field(None, description="Default: the event type's example")


class _RawFrame(msgspec.Struct, rename="pascal"):
    data: msgspec.Raw = msgspec.Raw(b"null")


@router.post(
    "/{IntegrationId}/test",
    responses=refusals(Code.NOT_FOUND, Code.BUSINESS_DISABLED, *WITH_BODY, fault=_FAULT),
)
async def send_test(
    here: Managing, integration_id: IntegrationId, form: SendTest, request: Request
) -> Envelope[objects.TestSend]:
    """Send one test event now: one attempt, no retry, also while paused or disabled."""
    if not here.view.business.enabled:
        raise BusinessDisabled(f"business {here.business_id} is disabled and sends nothing")
    integration = await find(here, integration_id)
    message = _message(here, form, await request.body())
    result = await here.context.attempt_test(integration, message)
    row_id = await here.store.record_test(message, result, here.store.now())
    here.context.feed.attempt(result, row_id)
    row, attempts = await here.store.get_delivery(here.business_id, row_id)
    found = explain(row, attempts, integration, here.view.business.enabled, here.store.now())
    sent = objects.TestSend(
        delivery_id=ids.public(ids.DELIVERY, row_id),
        attempt=show_attempt(attempts[0], row, here.context.user_agent),
        explanation=show_explanation(found),
    )
    return Envelope(data=sent)


def _message(here: Tenant, form: SendTest, body: bytes) -> Message:
    now = here.store.now()
    return Message(
        event_id=ids.event_id(now, os.urandom(ids.EVENT_ID_RANDOM_BYTES)),
        event_type=form.event_type,
        business_id=here.business_id,
        timestamp=now,
        data=_payload(here, form, body),
    )


def _payload(here: Tenant, form: SendTest, body: bytes) -> bytes:
    """`Data` byte for byte as it was sent, or the example."""
    event_type = here.view.types.get(form.event_type)
    if event_type is None:
        close = nearest(form.event_type, here.view.types)
        hint = f"; did you mean {close}?" if close else ""
        raise InvalidRequest(FieldError("EventType", "is not a registered event type" + hint))
    if form.data is None:
        return msgspec.json.encode(event_type.example)
    data = bytes(msgspec.json.decode(body, type=_RawFrame).data)
    check_data(data)
    if len(data) > here.context.max_event_bytes:
        raise BodyTooLarge(f"Data may have at most {here.context.max_event_bytes:,} bytes")
    return data
