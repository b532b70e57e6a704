"""Statistics and the state of the system as readers of the API see them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ringback.api.objects import EventTypeName, IntegrationId, Shown, Time
from ringback.failures import FailureClass
from ringback.statistics import Bucket
from ringback.store.port import NodeState

_Rate = Annotated[float, Field(ge=0, le=1)]


class DeliveryCounts(Shown):
    """Of the deliveries created in the time, by the state they are in now. The open ones are not finished."""

    delivered: int
    delivered_first_try: int = Field(description="Delivered on attempt 1, not one asked for by hand")
    dead: int
    cancelled: int
    open: int


class AttemptCounts(Shown):
    """Of the attempts that ended in the time; without tests and those asked for by hand."""

    succeeded: int
    failed: int


class AnswerCounts(Shown):
    """By the hundreds of the status."""

    successes: int = Field(alias="2xx")
    redirects: int = Field(alias="3xx")
    rejections: int = Field(alias="4xx")
    errors: int = Field(alias="5xx")
    none: int = Field(description="No answer, or one with no such status")


class Percentiles(Shown):
    """Milliseconds, from a histogram; null without data."""

    p50: float | None
    p95: float | None
    p99: float | None


class Figures(Shown):
    events: int
    deliveries: DeliveryCounts
    attempts: AttemptCounts
    answers: AnswerCounts
    first_try_rate: _Rate | None = Field(
        description="Deliveries whose attempt 1 succeeded, of those whose attempt 1 ended"
    )
    delivered_rate: _Rate | None = Field(description="Delivered, of delivered and dead")
    attempt_failure_rate: _Rate | None = Field(description="Failed, of all that ended")
    attempt_ms: Percentiles
    end_to_end_ms: Percentiles = Field(description="From acceptance to delivery, where nobody helped by hand")


class Started(Shown):
    start: Time


class BucketFigures(Figures, Started):
    pass


class EventTypeFigures(Shown):
    event_type: EventTypeName
    events: int
    deliveries: int
    share: _Rate = Field(description="Of all events counted here")


class AttemptNumberFigures(Shown):
    number: int = Field(description="21 stands for 21 and more")
    succeeded: int
    failed: int


class StatusFigures(Shown):
    status: int
    count: int


class FailureClassFigures(Shown):
    class_: FailureClass = Field(alias="Class")
    count: int


class IntegrationFigures(Shown):
    integration_id: IntegrationId
    delivered: int
    dead: int
    open: int
    first_try_rate: _Rate | None
    attempt_p95_ms: float | None
    last_delivered_at: Time | None = Field(description="Within the range")


class Now(Shown):
    """What waits at this moment, whatever the range and the filters."""

    queued: int
    sending: int
    retrying: int
    held: int
    next_attempt_at: Time | None = Field(description="When the next delivery falls due")
    oldest_due_at: Time | None = Field(description="The longest overdue; null: nothing is")


class Stats(Shown):
    since: Time
    until: Time = Field(description="Exclusive")
    bucket: Bucket
    totals: Figures
    buckets: list[BucketFigures] = Field(description="Every one of the range, oldest first")
    event_types: list[EventTypeFigures]
    attempt_numbers: list[AttemptNumberFigures]
    statuses: list[StatusFigures]
    failure_classes: list[FailureClassFigures]
    integrations: list[IntegrationFigures]
    now: Now


class Node(Shown):
    """A process, or the last one in its place. `dead`: it ended without leaving; what it sent is rescued."""

    node_id: int
    state: NodeState
    joined_at: Time
    seen_at: Time
    left_at: Time | None
    uptime_seconds: int | None = Field(description="Of one that is alive")


class Waiting(Shown):
    """Of all businesses."""

    queued: int
    sending: int
    retrying: int
    held: int


class PerSecond(Shown):
    """In whole minutes, the running one left out."""

    last_minute: float
    last_hour: float


class Retention(Shown):
    """Days."""

    payload_days: int
    attempt_days: int
    hold_days: int
    audit_days: int
    minute_stats_days: int
    hour_stats_days: int


class System(Shown):
    version: str
    nodes: list[Node]
    waiting: Waiting
    oldest_due_at: Time | None = Field(description="The longest overdue that is not held; null: nothing is")
    events_per_second: PerSecond = Field(description="Accepted, without duplicates and tests")
    attempts_per_second: PerSecond = Field(description="Ended, without tests and those asked for by hand")
    database_bytes: int
    disk_free_bytes: int | None = Field(description="Where the database is; null where that is elsewhere")
    retention: Retention
