"""What the stream of live updates carries."""

from __future__ import annotations

from pydantic import Field

from ringback.api.objects import (
    DeliveryId,
    EventIdText,
    EventTypeName,
    IntegrationId,
    Shown,
    ShownState,
    Time,
    Timings,
)
from ringback.api.stats_objects import Now
from ringback.failures import FailureClass


class FinishedAttempt(Shown):
    """A recorded attempt; headers and body are read with the delivery. `State` is the delivery's after it."""

    delivery_id: DeliveryId
    event_id: EventIdText
    event_type: EventTypeName
    integration_id: IntegrationId
    number: int
    started_at: Time
    duration_ms: float
    timings: Timings
    status: int | None
    failure_class: FailureClass | None
    detail: str | None = Field(description="What was seen, where there was no complete answer")
    state: ShownState
    replay: bool
    test: bool


class DeletedIntegration(Shown):
    id: IntegrationId
    deleted: bool = True


class StatsUpdate(Shown):
    now: Now
