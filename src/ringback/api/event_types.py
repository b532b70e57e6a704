"""The catalog of event types, as a whole and as one business has it, with those it registers itself."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.forms import Form, Text
from ringback.api.objects import Envelope
from ringback.api.paging import Listed, PageQuery
from ringback.api.reach import Browsing, Managing, Reading
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.catalog import BUILT_IN, EventType, check_own_name, own_type
from ringback.errors import FieldError

router = APIRouter(prefix="/api/v1", tags=["Event types"], route_class=ControlRoute)

_WALK = "event types"
_FAULT = FieldError("Schema", "at /properties/Total/type: must be one of the types of JSON")
TypeName = Annotated[str, Path(alias="EventType", examples=["order.paid"])]


class SaveEventType(Form):
    """Null is the default."""

    description: Text = Field(min_length=1, examples=["An order was paid in full."])
    schema_: dict[str, Any] | None = Field(
        None,
        alias="Schema",
        description="JSON Schema (draft 2020-12) of `Data`; default any object",
        examples=[{"type": "object", "required": ["OrderId"], "properties": {"OrderId": {"type": "string"}}}],
    )
    example: dict[str, Any] | None = Field(
        None, description="What a test send carries; it must fit the schema", examples=[{"OrderId": "1042"}]
    )
    deprecated: bool | None = Field(None, description="Marked in lists; published and delivered as before")


@router.get("/event-types", responses=refusals())
async def list_event_types(_: Browsing, query: Annotated[PageQuery, Query()]) -> Listed[objects.EventType]:
    """The built-in event types, by name."""
    return query.listed_by_name(BUILT_IN, show, _WALK, None)


@router.get("/business/{BusinessId}/event-types", responses=refusals(Code.NOT_FOUND))
async def list_business_event_types(
    here: Reading, query: Annotated[PageQuery, Query()]
) -> Listed[objects.EventType]:
    """What this business may publish, by name."""
    return query.listed_by_name(here.view.types, show, _WALK, here.business_id)


@router.put(
    "/business/{BusinessId}/event-types/{EventType}",
    responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT),
)
async def save_event_type(here: Managing, name: TypeName, form: SaveEventType) -> Envelope[objects.EventType]:
    """Register an event type of the business' own, or replace it as a whole."""
    check_own_name(name)
    # To compile a schema takes milliseconds, and the loop gets turns in between.
    made = await asyncio.to_thread(_made, name, form)
    await here.store.save_event_type(here.business_id, made, here.change("event_type.save"))
    await here.context.live.refresh()
    return Envelope(data=show(made))


@router.delete(
    "/business/{BusinessId}/event-types/{EventType}", responses=refusals(Code.NOT_FOUND, Code.CONFLICT)
)
async def delete_event_type(here: Managing, name: TypeName) -> Envelope[None]:
    """Delete one of the business' own. It can no longer be published; what was goes on being delivered."""
    check_own_name(name)
    await here.store.delete_event_type(here.business_id, name, here.change("event_type.delete"))
    await here.context.live.refresh()
    return Envelope(data=None)


def _made(name: str, form: SaveEventType) -> EventType:
    return own_type(name, form.description, form.schema_, form.example, deprecated=form.deprecated or False)


def show(event_type: EventType) -> objects.EventType:
    return objects.EventType(
        event_type=event_type.name,
        description=event_type.description,
        Schema=event_type.schema,
        example=event_type.example,
        built_in=event_type.built_in,
        deprecated=event_type.deprecated,
    )
