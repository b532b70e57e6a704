"""Integrations: one webhook endpoint of a business each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.changed_fields import changed_fields
from ringback.api.integration_forms import ChangeIntegration, CreateIntegration, check
from ringback.api.integration_values import changed, created, moved, secret_of, show
from ringback.api.no_store import NO_STORE
from ringback.api.objects import Envelope
from ringback.api.paging import Listed, PageQuery
from ringback.api.reach import Managing, Reading, Tenant
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.errors import Conflict, FieldError, NotFound
from ringback.model import Integration, IntegrationState

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/integrations", tags=["Integrations"], route_class=ControlRoute
)

# Of changes at the same time one wins each round: so many may wait for their turn.
MAX_TRIES = 64
_WALK = "integrations"
_FAULT = FieldError("Fields.Url", "must begin with https://")
_S = IntegrationState
IntegrationId = Annotated[str, Path(alias="IntegrationId", examples=["intg_01kb3v9q2m4xa"])]
Edit = Callable[[Integration], Integration]


@router.post(
    "",
    status_code=201,
    responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT),
    dependencies=[NO_STORE],
)
async def create_integration(here: Managing, form: CreateIntegration) -> Envelope[objects.CreatedIntegration]:
    """Add an integration: it is active at once. A generated `Secret` is in this one answer only."""
    check(form, here.view.types, dev=here.context.dev)
    secret, now = secret_of(form), here.store.now()
    integration = created(form, secret, here.business_id, now, here.context.keyring)
    stored = await here.store.create_integration(integration, here.change("integration.create"))
    await here.context.live.refresh()
    return shown_once(here, stored, secret if form.generate_secret else None)


@router.get("", responses=refusals(Code.NOT_FOUND))
async def list_integrations(
    here: Reading, query: Annotated[PageQuery, Query()]
) -> Listed[objects.Integration]:
    """List integrations."""
    before = query.before(_WALK, here.business_id)
    found = await here.store.list_integrations(here.business_id, query.limit, before)
    now = here.store.now()
    return query.listed(found, lambda one: show(one, here.context.keyring, now), _WALK, here.business_id)


@router.get("/{IntegrationId}", responses=refusals(Code.NOT_FOUND))
async def get_integration(here: Reading, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """Read one integration."""
    return shown(here, await find(here, integration_id))


@router.patch(
    "/{IntegrationId}",
    responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT),
    dependencies=[NO_STORE],
)
async def change_integration(
    here: Managing, integration_id: IntegrationId, form: ChangeIntegration
) -> Envelope[objects.CreatedIntegration]:
    """Change an integration, from its next attempt on. A first secret takes effect at once."""
    check(form, here.view.types, _subscribed_to(here, integration_id), dev=here.context.dev)
    secret = secret_of(form)

    def edit(integration: Integration) -> Integration:
        return changed(integration, form, secret, here.store.now(), here.context.keyring)

    stored = await save(here, integration_id, edit, "integration.update", form.version)
    return shown_once(here, stored, secret if form.generate_secret else None)


def _subscribed_to(here: Managing, integration_id: str) -> tuple[str, ...]:
    row_id = row_id_of(integration_id)
    return next((one.events for one in here.view.integrations if one.integration_id == row_id), ())


@router.delete("/{IntegrationId}", responses=refusals(Code.NOT_FOUND))
async def delete_integration(here: Managing, integration_id: IntegrationId) -> Envelope[None]:
    """Delete an integration. What waits for it becomes `cancelled`: kept and listed, never sent."""
    row_id = row_id_of(integration_id)
    await here.store.delete_integration(here.business_id, row_id, here.change("integration.delete"))
    await here.context.live.refresh()
    return Envelope(data=None)


_MOVE_REFUSALS = refusals(Code.NOT_FOUND, Code.CONFLICT)


@router.post("/{IntegrationId}/pause", responses=_MOVE_REFUSALS)
async def pause(here: Managing, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """Hold all deliveries, those of events published meanwhile too. Paused already: nothing changes."""
    return await _move(here, integration_id, "integration.pause", _S.PAUSED, _S.ACTIVE)


@router.post("/{IntegrationId}/resume", responses=_MOVE_REFUSALS)
async def resume(here: Managing, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """Let go what a pause held. Active already: nothing changes."""
    return await _move(here, integration_id, "integration.resume", _S.ACTIVE, _S.PAUSED)


@router.post("/{IntegrationId}/disable", responses=_MOVE_REFUSALS)
async def disable(here: Managing, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """Take it out of service: all deliveries are held. Disabled already: nothing changes."""
    return await _move(here, integration_id, "integration.disable", _S.DISABLED, _S.ACTIVE, _S.PAUSED)


@router.post("/{IntegrationId}/enable", responses=_MOVE_REFUSALS)
async def enable(here: Managing, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """Put it back into service and let go what was held. Active already: nothing changes."""
    return await _move(here, integration_id, "integration.enable", _S.ACTIVE, _S.DISABLED)


async def _move(
    here: Tenant, public_id: str, action: str, target: IntegrationState, *sources: IntegrationState
) -> Envelope[objects.Integration]:
    stored = await save(here, public_id, lambda one: moved(one, target, sources, here.store.now()), action)
    if target is _S.ACTIVE:
        here.context.wake(stored.integration_id)
    return shown(here, stored)


async def save(
    here: Tenant, public_id: str, edit: Edit, action: str, version: int | None = None
) -> Integration:
    """Read, edit and write, again while others are quicker. With a `version`, only that one is changed."""
    for _ in range(MAX_TRIES):
        read = await find(here, public_id)
        if version not in (None, read.version):
            raise Conflict(f"it is at version {read.version} by now; read it again")
        edited = edit(read)
        if edited == read:
            return read
        change = here.change(action, changed_fields(read, edited))
        try:
            stored = await here.store.save_integration(edited, change)
        except Conflict:
            continue
        await here.context.live.refresh()
        return stored
    raise Conflict("it is being changed by others; read it again")


async def find(here: Tenant, public_id: str) -> Integration:
    """Raises NotFound."""
    return await here.store.get_integration(here.business_id, row_id_of(public_id))


def row_id_of(public_id: str) -> int:
    row_id = ids.internal(ids.INTEGRATION, public_id)
    if row_id is None:
        raise NotFound("there is no such integration")
    return row_id


def shown(here: Tenant, integration: Integration) -> Envelope[objects.Integration]:
    return Envelope(data=show(integration, here.context.keyring, here.store.now()))


def shown_once(
    here: Tenant, integration: Integration, generated: str | None
) -> Envelope[objects.CreatedIntegration]:
    """With the secret that was generated; a customer's own is not repeated."""
    fields = shown(here, integration).data.model_dump(by_alias=True)
    return Envelope(data=objects.CreatedIntegration(**fields, secret=generated))
