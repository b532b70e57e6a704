"""Events, deliveries and attempts for people to read, and what a person can do about one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from ringback.failures import FailureClass
from ringback.match import WhyNot
from ringback.model import BodyFormat, Timings, Value
from ringback.store.port.configuration import Change
from ringback.store.port.paging import Page


class EventFilter(Value, frozen=True, kw_only=True):
    event_type: str | None = None
    test: bool | None = None
    since: int | None = None
    until: int | None = None


class DeliveryFilter(Value, frozen=True, kw_only=True):
    """All must hold; None does not filter. `state` is as shown: `held` too."""

    integration_id: int | None = None
    state: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    status: int | None = None
    failure_class: FailureClass | None = None
    test: bool | None = None
    since: int | None = None
    until: int | None = None


class EventRow(Value, frozen=True, kw_only=True):
    row_id: int
    event_id: str
    event_type: str
    business_id: int
    timestamp: int
    accepted_at: int
    deliveries: int
    data: bytes | None
    schema_errors: str | None
    test: bool


class NotSent(Value, frozen=True, kw_only=True):
    integration_id: int
    reason: WhyNot


class DeliveryRow(Value, frozen=True, kw_only=True):
    """`state` is as shown: a waiting delivery of a held lane is `held`, of a deleted one `cancelled`."""

    delivery_id: int
    event_id: str
    event_type: str
    business_id: int
    integration_id: int
    integration_name: str
    state: str
    attempts: int
    tries: int
    due_at: int | None
    last_status: int | None
    last_failure: FailureClass | None
    test: bool
    replay: bool
    created_at: int
    finished_at: int | None
    format: BodyFormat = BodyFormat.IQRA


class AttemptRow(Value, frozen=True, kw_only=True):
    delivery_id: int
    number: int
    started_at: int
    timings: Timings
    status: int | None
    failure: FailureClass | None
    detail: str | None
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    truncated: bool
    remote_address: str | None
    http_version: str | None
    signatures: int
    header_names: tuple[str, ...]
    replay: bool


class Retried(Value, frozen=True, kw_only=True):
    """What came of one delivery of several: it is queued again, or `obstacle` says why not. `row` is None
    where there is no such delivery."""

    delivery_id: int
    row: DeliveryRow | None
    obstacle: str | None = None


class Log(Protocol):
    """What was accepted and sent, and how it went."""

    async def list_events(
        self, business_id: int, wanted: EventFilter, limit: int, before: int | None
    ) -> Page[EventRow]: ...

    async def get_event(self, business_id: int, event_id: str) -> tuple[EventRow, tuple[DeliveryRow, ...]]:
        """Raises NotFound."""
        ...

    async def not_sent(self, event: EventRow) -> tuple[NotSent, ...]:
        """The integrations that got nothing of it, deleted ones too: the newest 1,000, newest first."""
        ...

    async def list_deliveries(
        self, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
    ) -> Page[DeliveryRow]: ...

    async def deliveries(self, business_id: int, delivery_ids: Collection[int]) -> tuple[DeliveryRow, ...]:
        """Newest first; ids that are not there, or another business', are left out."""
        ...

    async def get_delivery(
        self, business_id: int, delivery_id: int
    ) -> tuple[DeliveryRow, tuple[AttemptRow, ...]]:
        """Raises NotFound."""
        ...

    async def retry_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        """One more attempt now, marked as a replay. From a finished state it is the last; from `retrying`
        the schedule goes on after it. Raises NotFound; Conflict while sending or queued, when the payload
        is past retention, when the integration is deleted.
        """
        ...

    async def retry_deliveries(
        self, business_id: int, delivery_ids: Sequence[int], change: Change
    ) -> tuple[Retried, ...]:
        """`retry_delivery` of each of these, in their order; one's obstacle is nothing to the others."""
        ...

    async def cancel_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        """Stop what waits. Raises NotFound; Conflict where it is sending or finished."""
        ...
