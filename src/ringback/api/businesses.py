"""Businesses, the tenants: an operator's calls."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.changed_fields import changed_fields
from ringback.api.forms import Form, Name
from ringback.api.objects import Envelope
from ringback.api.paging import Listed, PageQuery
from ringback.api.reach import BusinessId, Caller, Operating, Surveying
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.envelope import iso_time
from ringback.errors import FieldError, StaleSnapshot
from ringback.model import Business, PayloadValidation
from ringback.store.port import NewBusiness

router = APIRouter(prefix="/api/v1/business", tags=["Businesses"], route_class=ControlRoute)

_WALK = "businesses"
_FAULT = FieldError("Name", "is required")
_Validation = Annotated[PayloadValidation, Field(strict=False)]
_DEFAULTS = {"external_id": None, "enabled": True, "payload_validation": PayloadValidation.WARN}


class CreateBusiness(Form):
    name: Name = Field(examples=["Acme Support"])
    external_id: Name | None = Field(None, description="Your own id of it, unique", examples=["acme-eu-1"])
    enabled: bool | None = None
    payload_validation: _Validation | None = Field(None, description="Default `warn`")


class ChangeBusiness(Form):
    """Only what is sent changes; null restores the default."""

    name: Name | None = Field(None, examples=["Acme Support"])
    external_id: Name | None = None
    enabled: bool | None = Field(None, description="False refuses publishes and holds deliveries")
    payload_validation: _Validation | None = None


@router.post("", status_code=201, responses=refusals(Code.CONFLICT, *WITH_BODY, fault=_FAULT))
async def create_business(here: Operating, form: CreateBusiness) -> Envelope[objects.Business]:
    """Create a business."""
    new = NewBusiness(**form.changes(_DEFAULTS))
    business = await here.store.create_business(new, here.change("business.create"))
    await here.context.live.refresh()
    return Envelope(data=show(business))


@router.get("", responses=refusals())
async def list_businesses(here: Surveying, query: Annotated[PageQuery, Query()]) -> Listed[objects.Business]:
    """List businesses."""
    found = await here.store.list_businesses(query.limit, query.before(_WALK))
    return query.listed(found, show, _WALK)


@router.get("/{BusinessId}", responses=refusals(Code.NOT_FOUND))
async def get_business(here: Surveying, business_id: BusinessId) -> Envelope[objects.Business]:
    """Read one business."""
    return Envelope(data=show(await here.store.get_business(business_id)))


@router.patch("/{BusinessId}", responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT))
async def change_business(
    here: Operating, business_id: BusinessId, form: ChangeBusiness
) -> Envelope[objects.Business]:
    """Change a business. Disabled, it takes no events, and its deliveries are held."""
    changed = await _saved(here, business_id, form.changes(_DEFAULTS))
    await here.context.live.refresh()
    return Envelope(data=show(changed))


async def _saved(here: Caller, business_id: int, changes: dict[str, Any]) -> Business:
    """Read, edit and write, again while others are quicker: a business carries no version."""
    while True:
        business = await here.store.get_business(business_id)
        changed = msgspec.structs.replace(business, **changes)
        if changed == business:
            return business
        change = here.change("business.update", changed_fields(business, changed))
        with suppress(StaleSnapshot):
            return await here.store.save_business(changed, change, read=business)


@router.delete("/{BusinessId}", responses=refusals(Code.NOT_FOUND))
async def delete_business(here: Operating, business_id: BusinessId) -> Envelope[None]:
    """Delete a business. What waits is cancelled; its history stays until retention."""
    await here.store.delete_business(business_id, here.change("business.delete"))
    await here.context.live.refresh()
    return Envelope(data=None)


def show(business: Business) -> objects.Business:
    return objects.Business(
        business_id=business.business_id,
        name=business.name,
        external_id=business.external_id,
        enabled=business.enabled,
        payload_validation=business.payload_validation,
        created_at=iso_time(business.created_at),
    )
