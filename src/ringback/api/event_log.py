"""The events of a business, as accepted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code, success
from ringback.api.log_query import LogQuery
from ringback.api.objects import Envelope
from ringback.api.paging import Listed
from ringback.api.reach import Reading
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute, respond
from ringback.catalog import MAX_NAME_LENGTH
from ringback.envelope import iso_time
from ringback.errors import NotFound
from ringback.payloads import EVENT_ID
from ringback.store.port import DeliveryRow, EventFilter, EventRow, NotSent

router = APIRouter(prefix="/api/v1/business/{BusinessId}/events", tags=["Events"], route_class=ControlRoute)

_WALK = "events"
EventId = Annotated[str, Path(alias="EventId", examples=["evt_01kb3v9q2m4xaf0t8c5d6e7g9h"])]


class EventQuery(LogQuery):
    event_type: str | None = Field(None, max_length=MAX_NAME_LENGTH, examples=["call.completed"])

    def filter(self) -> EventFilter:
        return EventFilter(
            event_type=self.event_type, test=self.test, since=self.since_ms(), until=self.until_ms()
        )


@router.get("", responses=refusals(Code.NOT_FOUND))
async def list_events(here: Reading, query: Annotated[EventQuery, Query()]) -> Listed[objects.EventSummary]:
    """List events."""
    before = query.before(_WALK, here.business_id)
    found = await here.store.list_events(here.business_id, query.filter(), query.limit, before)
    return query.listed(found, _summary, _WALK, here.business_id)


@router.get("/{EventId}", responses=refusals(Code.NOT_FOUND), response_model=Envelope[objects.Event])
async def get_event(here: Reading, event_id: EventId) -> Response:
    """Read one event with its deliveries and, for each integration that got nothing of it, why.

    `Data` is as it was published, byte for byte.
    """
    if EVENT_ID.fullmatch(event_id) is None:
        raise NotFound("there is no such event")
    row, deliveries = await here.store.get_event(here.business_id, event_id)
    others = await here.store.not_sent(row)
    event = objects.Event(
        **_summary(row).model_dump(by_alias=False),
        data=None,
        deliveries=_references(deliveries),
        not_sent=[_not_sent(one) for one in others],
    )
    # Encoded apart from the models: they would parse the payload and write it anew.
    shown = event.model_dump(mode="json") | {"Data": None if row.data is None else msgspec.Raw(row.data)}
    return respond(success(shown))


def _summary(row: EventRow) -> objects.EventSummary:
    return objects.EventSummary(
        event_id=row.event_id,
        event_type=row.event_type,
        business_id=row.business_id,
        timestamp=iso_time(row.timestamp),
        accepted_at=iso_time(row.accepted_at),
        schema_errors=row.schema_errors,
        test=row.test,
        delivery_count=row.deliveries,
    )


def _references(deliveries: Sequence[DeliveryRow]) -> list[objects.DeliveryRef]:
    return [
        objects.DeliveryRef(
            delivery_id=ids.public(ids.DELIVERY, one.delivery_id),
            integration_id=ids.public(ids.INTEGRATION, one.integration_id),
            state=objects.ShownState(one.state),
        )
        for one in deliveries
    ]


def _not_sent(one: NotSent) -> objects.NotSent:
    return objects.NotSent(integration_id=ids.public(ids.INTEGRATION, one.integration_id), reason=one.reason)
