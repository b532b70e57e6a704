"""What an explanation is made from."""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from urllib.parse import urlsplit

from ringback import ids
from ringback.explain.pages import Page, page_of
from ringback.failures import FailureClass
from ringback.model import Integration, IntegrationState
from ringback.retry import Policy, policy_of
from ringback.store.port import AttemptRow, DeliveryRow
from ringback.words import printable

_MAX_NAME = 60
_MAX_HOST = 100
_APART_MS = 60_000


class Missing(Enum):
    HANDSHAKE = "The TLS handshake did not end"
    ANSWER = "No answer"
    HEADERS = "The answer's headers did not end"
    BODY = "The answer did not end"


class Case:
    """One delivery and all that is known of it. `integration` is None where it was deleted.

    The settings are those of now, the attempts may have been made with others.
    """

    def __init__(
        self,
        delivery: DeliveryRow,
        attempts: tuple[AttemptRow, ...],
        integration: Integration | None,
        business_enabled: bool,
        now: int,
    ) -> None:
        self.delivery = delivery
        self.attempts = attempts
        self.integration = integration
        self.business_enabled = business_enabled
        self.now = now

    @property
    def last(self) -> AttemptRow | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def failure(self) -> FailureClass | None:
        """Of the last attempt; as the delivery has it where the attempts are past retention."""
        return self.delivery.last_failure if self.last is None else self.last.failure

    @property
    def ended_while_waiting(self) -> bool:
        """Not by an attempt: it ended later than its last one did."""
        finished_at, last = self.delivery.finished_at, self.last
        if finished_at is None or last is None:
            return self.delivery.attempts == 0
        return finished_at - ended_at(last) > _APART_MS

    @cached_property
    def page(self) -> Page | None:
        """What kind of page the last answer is, where it is one."""
        last = self.last
        if last is None or last.status is None:
            return None
        return page_of(last.status, last.response_headers, last.response_body)

    @cached_property
    def policy(self) -> Policy | None:
        return None if self.integration is None else policy_of(self.integration.settings)

    @property
    def host(self) -> str:
        """Of the integration's URL, where it is known to be the one that was used."""
        integration = self._as_it_was
        host = None if integration is None else urlsplit(integration.url).hostname
        return printable(host or "the receiver", _MAX_HOST)

    @property
    def limit_ms(self) -> float:
        """How long the last attempt, which ran out of time, had: its end comes a little later."""
        took = 0.0 if self.last is None else self.last.timings.total_ms
        integration = self._as_it_was
        return took if integration is None else min(policy_of(integration.settings).timeout_ms, took)

    @property
    def _as_it_was(self) -> Integration | None:
        """The integration, where it has not changed since the last attempt."""
        integration, last = self.integration, self.last
        changed = integration is None or (last is not None and integration.updated_at > last.started_at)
        return None if changed else integration

    @property
    def name(self) -> str:
        """The integration, as its owner calls it."""
        name = printable(self.delivery.integration_name, _MAX_NAME)
        return f"“{name}”" if name else "it"

    @property
    def secure(self) -> bool:
        return self.integration is not None and self.integration.url.startswith("https:")

    @property
    def missing(self) -> Missing:
        """What did not come, or not completely, where the last attempt ran out of time."""
        last = self.last
        if last is None:
            return Missing.ANSWER
        if last.status is not None:
            return Missing.BODY
        if last.timings.first_byte_ms is not None:
            return Missing.HEADERS
        handshake = last.timings.connect_ms is not None and last.timings.tls_ms is None
        return Missing.HANDSHAKE if self.secure and handshake else Missing.ANSWER

    @property
    def held_by(self) -> str:
        """What holds the delivery, as far as the newest configuration says."""
        if not self.business_enabled:
            return "the business is disabled"
        if self.integration is None or self.integration.state is IntegrationState.ACTIVE:
            return "the integration is held"
        return f"the integration is {self.integration.state}"

    @property
    def release(self) -> str:
        """What lets a held delivery go: `enable` or `resume`."""
        paused = self.integration is None or self.integration.state is not IntegrationState.DISABLED
        return "resume" if paused and self.business_enabled else "enable"

    @property
    def path(self) -> str:
        """Of the integration, in the API."""
        integration_id = ids.public(ids.INTEGRATION, self.delivery.integration_id)
        return f"/api/v1/business/{self.delivery.business_id}/integrations/{integration_id}"


def ended_at(attempt: AttemptRow) -> int:
    return attempt.started_at + round(attempt.timings.total_ms)
