"""What happens after an attempt: a pure function of the policy, the outcome, the time and a die."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

from ringback.failures import FAILURES, FailureClass
from ringback.model import (
    Decision,
    DeliveryState,
    IntegrationSettings,
    Leased,
    Outcome,
    Profile,
    Value,
)

MAX_JITTER_SHARE = 0.05
MAX_JITTER_MS = 60_000
MAX_RETRY_AFTER_MS = 24 * 3_600_000
_RETRY_AFTER_STATUSES = (429, 503)


class Policy(Value, frozen=True, kw_only=True):
    """How one integration's attempts are made and judged. Delays are in seconds."""

    success_codes: frozenset[int]
    timeout_ms: int
    delays: tuple[int, ...]
    gone_disables: bool
    circuit_breaker: bool

    @property
    def max_attempts(self) -> int:
        return len(self.delays) + 1


_MINUTE, _HOUR = 60, 3600
PROFILES: dict[Profile, Policy] = {
    Profile.IQRA: Policy(
        success_codes=frozenset({200}),
        timeout_ms=5_000,
        delays=(_MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR),
        gone_disables=False,
        circuit_breaker=False,
    ),
    Profile.STANDARD: Policy(
        success_codes=frozenset(range(200, 300)),
        timeout_ms=15_000,
        delays=(5, 5 * _MINUTE, 30 * _MINUTE, *(hours * _HOUR for hours in (2, 5, 10, 14, 20, 24))),
        gone_disables=True,
        circuit_breaker=True,
    ),
}


def policy_of(settings: IntegrationSettings) -> Policy:
    """The profile's policy with the integration's own fields over it."""
    profile = PROFILES[settings.profile]
    return Policy(
        success_codes=profile.success_codes
        if settings.success_codes is None
        else frozenset(settings.success_codes),
        timeout_ms=profile.timeout_ms
        if settings.timeout_seconds is None
        else settings.timeout_seconds * 1000,
        delays=profile.delays if settings.retry_schedule is None else settings.retry_schedule,
        gone_disables=profile.gone_disables,
        circuit_breaker=profile.circuit_breaker,
    )


def decide(
    policy: Policy, leased: Leased, outcome: Outcome, failure: FailureClass | None, now: int, jitter: float
) -> Decision:
    """Delivered, retry at, or dead. `now` is the end of the attempt, `jitter` from 0 up to 1."""
    if failure is None:
        return Decision(state=DeliveryState.DELIVERED)
    disable = failure is FailureClass.GONE_410 and policy.gone_disables
    step = next_step(leased)
    if step >= len(policy.delays) or not FAILURES[failure].retried:
        return Decision(state=DeliveryState.DEAD, disable_integration=disable)
    due_at = now + _delay_ms(policy.delays[step], outcome, now, jitter)
    return Decision(state=DeliveryState.RETRYING, due_at=due_at, disable_integration=disable)


def next_step(leased: Leased) -> int:
    """The place in the schedule after this attempt. A manual attempt repeats the step it came from."""
    return max(leased.tries - 1, 0) if leased.replay else leased.tries


def _delay_ms(seconds: int, outcome: Outcome, now: int, jitter: float) -> int:
    planned = seconds * 1000
    spread = math.ceil(min(planned * MAX_JITTER_SHARE, MAX_JITTER_MS) * jitter)
    return max(planned + spread, _retry_after_ms(outcome, now))


def _retry_after_ms(outcome: Outcome, now: int) -> int:
    if outcome.status not in _RETRY_AFTER_STATUSES:
        return 0
    value = _header(outcome, "retry-after")
    asked = None if value is None else parse_retry_after(value, now)
    return 0 if asked is None else min(asked, MAX_RETRY_AFTER_MS)


def parse_retry_after(value: str, now: int) -> int | None:
    """Milliseconds from `now`, rounded up; None where the value is neither seconds nor an HTTP date."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(int(value.lstrip("0")[:12] or "0") * 1000, MAX_RETRY_AFTER_MS)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return max(math.ceil(moment.timestamp() * 1000) - now, 0)
    except (ValueError, OverflowError):
        return None


def _header(outcome: Outcome, name: str) -> str | None:
    return next((value for key, value in outcome.headers if key.lower() == name), None)
