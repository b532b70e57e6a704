"""Many deliveries retried at once, each with its own answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.forms import Form
from ringback.api.objects import Envelope
from ringback.api.reach import Managing
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.api.validation import MAX_ERRORS
from ringback.errors import FieldError, InvalidRequest
from ringback.store.port import Retried

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/deliveries", tags=["Deliveries"], route_class=ControlRoute
)

MAX_IDS = 200
_MAX_ID_LENGTH = 100
_FAULT = FieldError("Ids[1]", "is there more than once")


class RetryDeliveries(Form):
    ids: list[Annotated[str, Field(max_length=_MAX_ID_LENGTH)]] = Field(
        min_length=1, max_length=MAX_IDS, examples=[["dlv_01kb3v9q2m4xb"]]
    )


@router.post("/retry", responses=refusals(Code.NOT_FOUND, *WITH_BODY, fault=_FAULT))
async def retry_deliveries(here: Managing, form: RetryDeliveries) -> Envelope[objects.RetriedItems]:
    """One more attempt now for each of up to 200 deliveries; of each, what was done or why not."""
    _refuse_repeated(form.ids)
    row_ids = {one: ids.internal(ids.DELIVERY, one) for one in form.ids}
    known = [row_id for row_id in row_ids.values() if row_id is not None]
    done = await here.store.retry_deliveries(here.business_id, known, here.change("delivery.retry"))
    results = {one.delivery_id: one for one in done}
    _tell(here, done)
    items = [_shown(one, None if row_id is None else results[row_id]) for one, row_id in row_ids.items()]
    return Envelope(data=objects.RetriedItems(items=items))


def _refuse_repeated(given: list[str]) -> None:
    faults = [
        FieldError(f"Ids[{place}]", "is there more than once")
        for place, one in enumerate(given)
        if given.index(one) < place
    ]
    if faults:
        raise InvalidRequest(*faults[:MAX_ERRORS])


def _tell(here: Managing, done: tuple[Retried, ...]) -> None:
    rows = [one.row for one in done if one.row is not None and one.obstacle is None]
    for lane in {row.integration_id for row in rows}:
        here.context.wake(lane)
    here.context.feed.deliveries(here.business_id, tuple(row.delivery_id for row in rows))


def _shown(public_id: str, result: Retried | None) -> objects.Retried:
    if result is None or result.row is None:
        return objects.Retried(
            id=public_id, retried=False, state=None, code=Code.NOT_FOUND, message="there is no such delivery"
        )
    return objects.Retried(
        id=public_id,
        retried=result.obstacle is None,
        state=objects.ShownState(result.row.state),
        code=None if result.obstacle is None else Code.CONFLICT,
        message=result.obstacle,
    )
