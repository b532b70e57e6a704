"""The life of a signing secret: current, then outgoing for as long as both count, then gone.

Pure: what counts is a question of the moment that is asked about, whatever is still stored.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ringback.errors import Conflict
from ringback.model import Integration, Secret, SecretState

DEFAULT_OVERLAP_SECONDS = 86_400
MAX_OVERLAP_SECONDS = 604_800


def current(secrets: Iterable[Secret]) -> Secret | None:
    return next((one for one in secrets if one.state is SecretState.CURRENT), None)


def outgoing(secrets: Iterable[Secret], now: int) -> Secret | None:
    """The one that still counts beside the current one: there is none once its time is over."""
    return next(
        (one for one in secrets if one.state is SecretState.OUTGOING and not _is_over(one, now)), None
    )


def counting(secrets: Iterable[Secret], now: int) -> tuple[Secret, ...]:
    """Those that sign at this moment: none, the current one, or the current one before the outgoing."""
    kept = tuple(secrets)
    return tuple(one for one in (current(kept), outgoing(kept, now)) if one is not None)


def rotated(integration: Integration, new: Secret, overlap_ms: int, now: int) -> Integration:
    """With the new secret, the old one outgoing for the overlap. A first secret has nothing to overlap with.

    Raises Conflict during an overlap: two secrets at most.
    """
    if outgoing(integration.secrets, now) is not None:
        raise Conflict(
            "a rotation is under way: let its overlap end, or end it with POST …/secret/rotate/finish"
        )
    old = current(integration.secrets)
    if old is None or overlap_ms == 0:
        return msgspec.structs.replace(integration, secrets=(new,))
    leaving = msgspec.structs.replace(old, state=SecretState.OUTGOING, expires_at=now + overlap_ms)
    return msgspec.structs.replace(integration, secrets=(new, leaving))


def finished(integration: Integration, now: int) -> Integration:
    """With the current secret alone. Raises Conflict where nothing is outgoing."""
    if outgoing(integration.secrets, now) is None:
        raise Conflict("no rotation is under way: it has no outgoing secret")
    kept = tuple(one for one in integration.secrets if one.state is SecretState.CURRENT)
    return msgspec.structs.replace(integration, secrets=kept)


def _is_over(secret: Secret, now: int) -> bool:
    return secret.expires_at is not None and secret.expires_at <= now
