"""The delivery log: what was sent where, how it went, and the two things a person can do about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.delivery_views import show, show_attempt, show_explanation
from ringback.api.log_query import LogQuery, integration_of
from ringback.api.objects import Envelope
from ringback.api.paging import Listed
from ringback.api.reach import Managing, Reading
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.catalog import MAX_NAME_LENGTH
from ringback.errors import NotFound
from ringback.explain import explain
from ringback.failures import FailureClass
from ringback.payloads import EVENT_ID
from ringback.store.port import DeliveryFilter

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/deliveries", tags=["Deliveries"], route_class=ControlRoute
)

_WALK = "deliveries"
DeliveryId = Annotated[str, Path(alias="DeliveryId", examples=["dlv_01kb3v9q2m4xb"])]


class DeliveryQuery(LogQuery):
    integration_id: str | None = Field(None, examples=["intg_01kb3v9q2m4xa"])
    state: objects.ShownState | None = None
    event_type: str | None = Field(None, max_length=MAX_NAME_LENGTH, examples=["call.completed"])
    event_id: str | None = Field(None, pattern=rf"^{EVENT_ID.pattern}$")
    status: int | None = Field(None, ge=100, le=999, description="Of the last answer")
    failure_class: FailureClass | None = Field(None, description="Of the last attempt")

    def filter(self) -> DeliveryFilter:
        return DeliveryFilter(
            integration_id=integration_of(self.integration_id),
            state=None if self.state is None else self.state.value,
            event_type=self.event_type,
            event_id=self.event_id,
            status=self.status,
            failure_class=self.failure_class,
            test=self.test,
            since=self.since_ms(),
            until=self.until_ms(),
        )


@router.get("", responses=refusals(Code.NOT_FOUND))
async def list_deliveries(
    here: Reading, query: Annotated[DeliveryQuery, Query()]
) -> Listed[objects.Delivery]:
    """List deliveries. All filters must hold."""
    before = query.before(_WALK, here.business_id)
    found = await here.store.list_deliveries(here.business_id, query.filter(), query.limit, before)
    snapshot = here.context.live.current
    return query.listed(found, lambda row: show(row, snapshot), _WALK, here.business_id)


@router.get("/{DeliveryId}", responses=refusals(Code.NOT_FOUND))
async def get_delivery(here: Reading, delivery_id: DeliveryId) -> Envelope[objects.DeliveryDetail]:
    """Read one delivery with every attempt and its explanation."""
    row, attempts = await here.store.get_delivery(here.business_id, row_id_of(delivery_id))
    snapshot = here.context.live.current
    integration = snapshot.integrations.get(row.integration_id)
    found = explain(row, attempts, integration, here.view.business.enabled, here.store.now())
    shown = show(row, snapshot)
    detail = objects.DeliveryDetail(
        **shown.model_dump(by_alias=False),
        attempts=[show_attempt(attempt, row, here.context.user_agent) for attempt in attempts],
        explanation=show_explanation(found),
    )
    return Envelope(data=detail)


_ACTION_REFUSALS = refusals(Code.NOT_FOUND, Code.CONFLICT)


@router.post("/{DeliveryId}/retry", responses=_ACTION_REFUSALS)
async def retry_delivery(here: Managing, delivery_id: DeliveryId) -> Envelope[objects.Delivery]:
    """One more attempt now, from any finished state or `retrying`, marked as a replay."""
    change = here.change("delivery.retry")
    row = await here.store.retry_delivery(here.business_id, row_id_of(delivery_id), change)
    here.context.wake(row.integration_id)
    here.context.feed.deliveries(here.business_id, (row.delivery_id,))
    return Envelope(data=show(row, here.context.live.current))


@router.post("/{DeliveryId}/cancel", responses=_ACTION_REFUSALS)
async def cancel_delivery(here: Managing, delivery_id: DeliveryId) -> Envelope[objects.Delivery]:
    """Stop what waits."""
    change = here.change("delivery.cancel")
    row = await here.store.cancel_delivery(here.business_id, row_id_of(delivery_id), change)
    here.context.feed.deliveries(here.business_id, (row.delivery_id,))
    return Envelope(data=show(row, here.context.live.current))


def row_id_of(public_id: str) -> int:
    row_id = ids.internal(ids.DELIVERY, public_id)
    if row_id is None:
        raise NotFound("there is no such delivery")
    return row_id
