"""The catalog of event types, as a whole and as one business has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.paging import Listed, PageQuery
from ringback.api.reach import Browsing, Reading
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.catalog import BUILT_IN, EventType
from ringback.store.port import Page

router = APIRouter(prefix="/api/v1", tags=["Event types"], route_class=ControlRoute)

_WALK = "event types"


@router.get("/event-types", responses=refusals())
async def list_event_types(_: Browsing, query: Annotated[PageQuery, Query()]) -> Listed[objects.EventType]:
    """The built-in event types, by name."""
    return _listed(BUILT_IN, query, None)


@router.get("/business/{BusinessId}/event-types", responses=refusals(Code.NOT_FOUND))
async def list_business_event_types(
    here: Reading, query: Annotated[PageQuery, Query()]
) -> Listed[objects.EventType]:
    """What this business may publish, by name."""
    return _listed(here.view.types, query, here.business_id)


def show(event_type: EventType) -> objects.EventType:
    return objects.EventType(
        event_type=event_type.name,
        description=event_type.description,
        Schema=event_type.schema,
        example=event_type.example,
        built_in=event_type.built_in,
        deprecated=event_type.deprecated,
    )


def _listed(
    types: Mapping[str, EventType], query: PageQuery, business_id: int | None
) -> Listed[objects.EventType]:
    """A catalog is short and always at hand: the position is a place in the names."""
    start = query.before(_WALK, business_id) or 0
    end = start + query.limit
    names = sorted(types)
    found = Page(tuple(types[name] for name in names[start:end]), end if end < len(names) else None)
    return query.listed(found, show, _WALK, business_id)
