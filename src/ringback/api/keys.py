"""API keys: an operator's calls. A key is shown once and stored hashed."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.forms import Form, Name
from ringback.api.no_store import NO_STORE
from ringback.api.objects import Envelope
from ringback.api.paging import Listed, PageQuery
from ringback.api.reach import Caller, Operating
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.apikeys import RANDOM_BYTES, new_key, stored_key
from ringback.envelope import iso_time
from ringback.errors import FieldError, InvalidRequest, NotFound
from ringback.model import ApiKey, Scope

router = APIRouter(prefix="/api/v1/keys", tags=["API keys"], route_class=ControlRoute)

MAX_BUSINESSES = 1_000
_WALK = "keys"
_FAULT = FieldError("Scopes", "must have at least 1 entries")

KeyId = Annotated[str, Path(alias="KeyId", examples=["key_01kb3v9q2m4xa"])]


class CreateKey(Form):
    friendly_name: Name = Field(examples=["Production publisher"])
    scopes: list[Annotated[Scope, Field(strict=False)]] = Field(
        min_length=1, max_length=len(Scope), examples=[["publish", "read"]]
    )
    restricted_business_ids: list[int] | None = Field(
        None, max_length=MAX_BUSINESSES, description="Empty means all businesses", examples=[[123]]
    )


@router.post("", status_code=201, responses=refusals(*WITH_BODY, fault=_FAULT), dependencies=[NO_STORE])
async def create_key(here: Operating, form: CreateKey) -> Envelope[objects.NewKey]:
    """Create an API key. `Key` is in this one answer only."""
    _check_restriction(here, form)
    secret = new_key(secrets.token_bytes(RANDOM_BYTES))
    key = stored_key(
        secret,
        form.friendly_name,
        form.scopes,
        form.restricted_business_ids or (),
        here.store.now(),
        secrets.randbits(ids.COUNTER_BITS),
    )
    await here.store.create_key(key, here.change("key.create", form.friendly_name))
    await here.context.live.refresh()
    return Envelope(data=objects.NewKey(**show(key).model_dump(by_alias=False), key=secret))


@router.get("", responses=refusals())
async def list_keys(here: Operating, query: Annotated[PageQuery, Query()]) -> Listed[objects.Key]:
    """List API keys."""
    found = await here.store.list_keys(query.limit, query.before(_WALK))
    return query.listed(found, show, _WALK)


@router.delete("/{KeyId}", responses=refusals(Code.NOT_FOUND))
async def revoke_key(here: Operating, key_id: KeyId) -> Envelope[None]:
    """Revoke an API key, at once."""
    row_id = ids.internal(ids.API_KEY, key_id)
    if row_id is None:
        raise NotFound("there is no such key")
    await here.store.revoke_key(row_id, here.change("key.revoke"))
    await here.context.live.refresh()
    return Envelope(data=None)


def show(key: ApiKey) -> objects.Key:
    return objects.Key(
        id=ids.public(ids.API_KEY, key.key_id),
        friendly_name=key.friendly_name,
        scopes=sorted(key.scopes),
        restricted_business_ids=sorted(key.business_ids),
        ends_in=key.ends_in,
        created_at=iso_time(key.created_at),
    )


def _check_restriction(here: Caller, form: CreateKey) -> None:
    known = here.context.live.current.businesses
    restriction = form.restricted_business_ids or []
    faults = [
        FieldError(f"RestrictedBusinessIds[{index}]", "is not a business")
        for index, business_id in enumerate(restriction)
        if business_id not in known
    ]
    if restriction and Scope.OPERATOR in form.scopes:
        faults.append(FieldError("RestrictedBusinessIds", "must be empty for the scope `operator`"))
    if faults:
        raise InvalidRequest(*faults)
