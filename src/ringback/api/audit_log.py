"""Who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from ringback.api.answers import Code
from ringback.api.log_query import TimeQuery
from ringback.api.paging import Listed
from ringback.api.people_objects import AuditEntry
from ringback.api.reach import Operating, Reading
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.envelope import iso_time
from ringback.store.port import AuditFilter, AuditRow

router = APIRouter(prefix="/api/v1", tags=["Audit log"], route_class=ControlRoute)

_WALK = "audit"
_MAX = 300


class AuditQuery(TimeQuery):
    actor: str | None = Field(None, max_length=_MAX, examples=["user:ada@example.com"])
    action: str | None = Field(None, max_length=_MAX, examples=["integration.pause"])
    object: str | None = Field(None, max_length=_MAX, examples=["intg_01kb3v9q2m4xa"])

    def filter(self) -> AuditFilter:
        return AuditFilter(
            actor=self.actor,
            action=self.action,
            thing=self.object,
            since=self.since_ms(),
            until=self.until_ms(),
        )


@router.get("/business/{BusinessId}/audit", responses=refusals(Code.NOT_FOUND))
async def list_audit(here: Reading, query: Annotated[AuditQuery, Query()]) -> Listed[AuditEntry]:
    """List who did what in a business."""
    before = query.before(_WALK, here.business_id)
    found = await here.store.list_audit(here.business_id, query.filter(), query.limit, before)
    return query.listed(found, show, _WALK, here.business_id)


@router.get("/audit", responses=refusals())
async def list_all_audit(here: Operating, query: Annotated[AuditQuery, Query()]) -> Listed[AuditEntry]:
    """List who did what anywhere: in every business, deleted ones too, to keys, to people, and sign-ins."""
    found = await here.store.list_audit(None, query.filter(), query.limit, query.before(_WALK))
    return query.listed(found, show, _WALK)


def show(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        at=iso_time(row.at),
        actor=row.actor,
        action=row.action,
        object=row.thing,
        detail=row.detail,
        business_id=row.business_id,
    )
