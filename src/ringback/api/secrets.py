"""An integration's secret: replaced, with an overlap for its receiver, and shown again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from ringback import ids
from ringback.api import objects
from ringback.api.answers import Code
from ringback.api.forms import Form
from ringback.api.integration_values import new_secret, sealed_secret
from ringback.api.integrations import IntegrationId, row_id_of, save, shown, shown_once
from ringback.api.no_store import NO_STORE
from ringback.api.objects import Envelope
from ringback.api.reach import Managing, Tenant, require_fresh
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.envelope import iso_time, iso_time_or_none
from ringback.errors import Conflict, FieldError, InvalidRequest
from ringback.keyring import secret_owner
from ringback.model import Integration, Secret
from ringback.rotation import (
    DEFAULT_OVERLAP_SECONDS,
    MAX_OVERLAP_SECONDS,
    current,
    finished,
    outgoing,
    rotated,
)
from ringback.signing import MAX_OWN, problem_with_secret, standard_secret

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/integrations", tags=["Integrations"], route_class=ControlRoute
)

_FAULT = FieldError("OverlapSeconds", f"must be at most {MAX_OVERLAP_SECONDS}")


class RotateSecret(Form):
    overlap_seconds: int | None = Field(
        default=None,
        ge=0,
        le=MAX_OVERLAP_SECONDS,
        description=f"How long the old one counts beside the new; default {DEFAULT_OVERLAP_SECONDS:,}",
    )
    secret: str | None = Field(
        default=None, max_length=MAX_OWN, repr=False, description="One of your own; without it, one is made"
    )

    @property
    def overlap_ms(self) -> int:
        seconds = DEFAULT_OVERLAP_SECONDS if self.overlap_seconds is None else self.overlap_seconds
        return seconds * 1000


_DEFAULTS = RotateSecret()


@router.post(
    "/{IntegrationId}/secret/rotate",
    responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT),
    dependencies=[NO_STORE],
)
async def rotate_secret(
    here: Managing, integration_id: IntegrationId, form: Annotated[RotateSecret, Body()] = _DEFAULTS
) -> Envelope[objects.CreatedIntegration]:
    """Replace the secret. For the overlap `webhook-signature` carries both, new first, and
    `X-Iqra-Signature` stays with the old one. A generated `Secret` is in this one answer only.
    """
    _check(form)
    secret = new_secret() if form.secret is None else form.secret

    def edit(integration: Integration) -> Integration:
        _refuse_repetition(here, integration, secret)
        now = here.store.now()
        return rotated(integration, sealed_secret(secret, now, here.context.keyring), form.overlap_ms, now)

    stored = await save(here, integration_id, edit, "secret.rotate")
    return shown_once(here, stored, secret if form.secret is None else None)


@router.post("/{IntegrationId}/secret/rotate/finish", responses=refusals(Code.NOT_FOUND, Code.CONFLICT))
async def finish_rotation(here: Managing, integration_id: IntegrationId) -> Envelope[objects.Integration]:
    """End the overlap: from the next attempt on, only the new secret signs."""
    stored = await save(here, integration_id, lambda one: finished(one, here.store.now()), "secret.finish")
    return shown(here, stored)


@router.post(
    "/{IntegrationId}/secret/reveal",
    responses=refusals(Code.NOT_FOUND, Code.CONFLICT),
    dependencies=[NO_STORE],
)
async def reveal_secret(here: Managing, integration_id: IntegrationId) -> Envelope[objects.CurrentSecret]:
    """Show the secret, and the one it replaces while both count. It is in the audit log before it is here."""
    require_fresh(here)
    change = here.change("secret.reveal")
    secrets = await here.store.reveal_secrets(here.business_id, row_id_of(integration_id), change)
    return Envelope(data=_revealed(here, secrets, change.at))


def _check(form: RotateSecret) -> None:
    problem = None if form.secret is None else problem_with_secret(form.secret)
    if problem is not None:
        raise InvalidRequest(FieldError("Secret", problem))


def _refuse_repetition(here: Tenant, integration: Integration, secret: str) -> None:
    """Two signatures with one key would look like a rotation and be none."""
    old = current(integration.secrets)
    if old is not None and _opened(here, old) == secret:
        raise InvalidRequest(FieldError("Secret", "is the one it has already"))


def _revealed(here: Tenant, secrets: tuple[Secret, ...], now: int) -> objects.CurrentSecret:
    signing, leaving = current(secrets), outgoing(secrets, now)
    if signing is None:
        raise Conflict("it has no secret")
    return objects.CurrentSecret(
        **_plain(here, signing),
        created_at=iso_time(signing.created_at),
        outgoing=None if leaving is None else _leaving(here, leaving),
    )


def _leaving(here: Tenant, secret: Secret) -> objects.OutgoingSecret:
    return objects.OutgoingSecret(**_plain(here, secret), expires_at=iso_time_or_none(secret.expires_at))


def _plain(here: Tenant, secret: Secret) -> dict[str, str]:
    opened = _opened(here, secret)
    return {
        "id": ids.public(ids.SECRET, secret.secret_id),
        "secret": opened,
        "standard_secret": standard_secret(opened),
    }


def _opened(here: Tenant, secret: Secret) -> str:
    return here.context.keyring.open(secret.sealed, secret_owner(secret.secret_id)).decode()
