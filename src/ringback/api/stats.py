"""Statistics of a business, for charts."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from ringback.api import stats_objects as objects
from ringback.api.answers import Code
from ringback.api.log_query import EXAMPLE_TIME, integration_of, moment_of
from ringback.api.objects import Envelope
from ringback.api.reach import Reading
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.api.stats_views import show
from ringback.catalog import MAX_NAME_LENGTH
from ringback.envelope import iso_time
from ringback.errors import FieldError, InvalidRequest
from ringback.statistics import DAY_MS, MINUTE_MS, Bucket, Range, range_of, widen
from ringback.store.port import Asked, Statistics, WaitingNow

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/stats", tags=["Statistics"], route_class=ControlRoute
)

_FAULT = FieldError("Since", "must be before Until")


class StatsQuery(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, frozen=True)

    since: str | None = Field(None, description="RFC 3339; 24 hours before `Until`", examples=[EXAMPLE_TIME])
    until: str | None = Field(None, description="RFC 3339, exclusive; now", examples=[EXAMPLE_TIME])
    bucket: Bucket | None = Field(None, description="Chosen for the range where it is not given")
    integration_id: str | None = Field(None, examples=["intg_01kb3v9q2m4xa"])
    event_type: str | None = Field(None, max_length=MAX_NAME_LENGTH, examples=["call.completed"])

    def asked(self, now: int) -> Asked:
        since, until = moment_of(self.since, "Since"), moment_of(self.until, "Until")
        return Asked(
            range=range_of(since, until, self.bucket, now),
            integration_id=integration_of(self.integration_id),
            event_type=self.event_type,
        )


@router.get("", response_model=Envelope[objects.Stats], responses=refusals(Code.NOT_FOUND, fault=_FAULT))
async def get_stats(here: Reading, query: Annotated[StatsQuery, Query()]) -> Response:
    """Counts, rates and percentiles of a range, as a whole and by time.

    Deliveries count in the bucket of their creation, attempts in that of their end. Tests and attempts asked
    for by hand are left out. The range is widened to whole buckets. An integration or event type that is not
    there has no figures.
    """
    now = here.store.now()
    asked = query.asked(now)
    await _check_kept(here, asked, now)
    found = await here.store.statistics(here.business_id, asked)
    waiting = await here.store.waiting_now(here.business_id, now)
    # 2,000 buckets take tens of ms to show: the loop goes on meanwhile.
    body = await asyncio.to_thread(_written, found, asked.range, waiting)
    return Response(body, media_type="application/json")


def _written(found: Statistics, wanted: Range, now: WaitingNow) -> str:
    return Envelope(data=show(found, wanted, now)).model_dump_json()


async def _check_kept(here: Reading, asked: Asked, now: int) -> None:
    """Where the hours know of something that the minutes no longer do, zeros would be untrue."""
    first_kept = now - here.context.keep.minute_stats * DAY_MS
    if asked.range.bucket.grain != MINUTE_MS or asked.range.since >= first_kept:
        return
    gone = widen(asked.range.since, min(asked.range.until, first_kept), Bucket.HOUR)
    known = await here.store.statistics(here.business_id, Asked(range=gone))
    if known.buckets:
        raise InvalidRequest(FieldError("Bucket", _no_longer_kept(asked.range, first_kept)))


def _no_longer_kept(asked: Range, first_kept: int) -> str:
    return f"{asked.bucket} is kept from {iso_time(first_kept)} on; take 1h, or a later Since"
