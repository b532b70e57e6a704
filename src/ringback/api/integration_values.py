"""From an integration's forms to its stored value, and from that to what is shown. No I/O but randomness."""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ringback import ids
from ringback.api import objects
from ringback.api.integration_forms import (
    ChangeIntegration,
    CreateIntegration,
    SettingsForm,
    events_of,
    settings_changes,
)
from ringback.envelope import MASK, iso_time, iso_time_or_none
from ringback.errors import Conflict
from ringback.keyring import KeyRing, headers_owner, secret_owner
from ringback.model import Integration, IntegrationSettings, IntegrationState, Secret, SecretState
from ringback.retry import policy_of
from ringback.rotation import counting
from ringback.signing import GENERATED_BYTES, generate_secret

_SHOWN_OF_A_SECRET = 4


def secret_of(form: SettingsForm) -> str | None:
    """The customer's own, or a generated one where that was asked for."""
    if form.encrypted_fields is not None:
        return form.encrypted_fields.secret
    return new_secret() if form.generate_secret else None


def new_secret() -> str:
    return generate_secret(os.urandom(GENERATED_BYTES))


def created(
    form: CreateIntegration, secret: str | None, business_id: int, now: int, keyring: KeyRing
) -> Integration:
    integration_id = _new_id(now)
    return Integration(
        integration_id=integration_id,
        business_id=business_id,
        type=form.type,
        friendly_name=form.friendly_name,
        url=form.fields_.url,
        events=events_of(form.fields_),
        settings=IntegrationSettings(**settings_changes(form)),
        sealed_headers=_seal_headers(form.headers, integration_id, keyring),
        secrets=() if secret is None else (sealed_secret(secret, now, keyring),),
        state=IntegrationState.ACTIVE,
        state_reason=None,
        state_since=now,
        created_at=now,
        updated_at=now,
        version=1,
    )


def changed(
    integration: Integration, form: ChangeIntegration, secret: str | None, now: int, keyring: KeyRing
) -> Integration:
    """With the form's fields over its own. Raises Conflict where a secret would replace another, and for
    another body format.
    """
    fields = _changed_fields(integration, form, keyring)
    if fields["settings"].format is not integration.settings.format:
        raise Conflict(
            f"its Format is {integration.settings.format}, and stays it: receivers rely on it; "
            "add another integration"
        )
    if secret is not None:
        if integration.secrets:
            raise Conflict("it has a secret already; replace it with POST …/secret/rotate")
        fields["secrets"] = (sealed_secret(secret, now, keyring),)
    edited = msgspec.structs.replace(integration, **fields)
    return edited if edited == integration else msgspec.structs.replace(edited, updated_at=now)


def _changed_fields(integration: Integration, form: ChangeIntegration, keyring: KeyRing) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "settings": msgspec.structs.replace(integration.settings, **settings_changes(form))
    }
    if form.friendly_name is not None:
        fields["friendly_name"] = form.friendly_name
    if form.fields_ is not None:
        fields |= {"url": form.fields_.url, "events": events_of(form.fields_)}
    if form.sent("headers"):
        fields["sealed_headers"] = _seal_headers(form.headers, integration.integration_id, keyring)
    return fields


def moved(
    integration: Integration, target: IntegrationState, sources: Collection[IntegrationState], now: int
) -> Integration:
    """In the target state; untouched where it is there already. Raises Conflict from any other state."""
    if integration.state is target:
        return integration
    if integration.state not in sources:
        raise Conflict(f"it is {integration.state}, not {' or '.join(sources)}")
    reason = None if target is IntegrationState.ACTIVE else f"{target} through the API"
    return msgspec.structs.replace(
        integration, state=target, state_reason=reason, state_since=now, updated_at=now
    )


def show(integration: Integration, keyring: KeyRing, now: int) -> objects.Integration:
    policy = policy_of(integration.settings)
    return objects.Integration(
        id=ids.public(ids.INTEGRATION, integration.integration_id),
        business_id=integration.business_id,
        friendly_name=integration.friendly_name,
        Fields=objects.IntegrationFields(url=integration.url, events=list(integration.events)),
        state=integration.state,
        state_reason=integration.state_reason,
        state_since=iso_time(integration.state_since),
        secrets=[_show_secret(secret) for secret in counting(integration.secrets, now)],
        profile=integration.settings.profile,
        format=integration.settings.format,
        timeout_seconds=policy.timeout_ms // 1000,
        retry_schedule=list(policy.delays),
        success_codes=sorted(policy.success_codes),
        max_concurrency=integration.max_concurrency,
        headers={name: MASK for name, _ in _open_headers(integration, keyring)},
        description=integration.settings.description,
        created_at=iso_time(integration.created_at),
        updated_at=iso_time(integration.updated_at),
        version=integration.version,
    )


def _show_secret(secret: Secret) -> objects.Secret:
    return objects.Secret(
        id=ids.public(ids.SECRET, secret.secret_id),
        state=secret.state,
        ends_in=secret.ends_in,
        created_at=iso_time(secret.created_at),
        expires_at=iso_time_or_none(secret.expires_at),
    )


def sealed_secret(secret: str, now: int, keyring: KeyRing) -> Secret:
    secret_id = _new_id(now)
    return Secret(
        secret_id=secret_id,
        state=SecretState.CURRENT,
        sealed=keyring.seal(secret.encode(), secret_owner(secret_id)),
        ends_in=secret[-_SHOWN_OF_A_SECRET:],
        created_at=now,
    )


def _seal_headers(headers: Mapping[str, str] | None, integration_id: int, keyring: KeyRing) -> bytes | None:
    if not headers:
        return None
    return keyring.seal(msgspec.json.encode(list(headers.items())), headers_owner(integration_id))


def _open_headers(integration: Integration, keyring: KeyRing) -> list[tuple[str, str]]:
    if integration.sealed_headers is None:
        return []
    plain = keyring.open(integration.sealed_headers, headers_owner(integration.integration_id))
    return msgspec.json.decode(plain, type=list[tuple[str, str]])


def _new_id(now: int) -> int:
    return ids.random_id(now, secrets.randbits(ids.COUNTER_BITS))
