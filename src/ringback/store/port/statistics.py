"""What was counted, for charts; what waits now; and how the whole system does."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from ringback.model import Value
from ringback.statistics import Counts, Range


class Asked(Value, frozen=True, kw_only=True):
    """None does not filter."""

    range: Range
    integration_id: int | None = None
    event_type: str | None = None


class AttemptGroup(Value, frozen=True):
    """Attempts alike. `status` 0: no answer. `failure` empty: success. `number` stops at 21."""

    number: int
    status: int
    failure: str
    attempts: int


class Statistics(Value, frozen=True, kw_only=True):
    """Where nothing was counted nothing is there. `lanes`: by integration and event type, without events.

    Events have no integration: where one is asked for, those that went to it are counted.
    """

    buckets: Mapping[int, Counts]
    lanes: Mapping[tuple[int, str], Counts]
    events: Mapping[str, int]
    groups: tuple[AttemptGroup, ...]


class WaitingNow(Value, frozen=True, kw_only=True):
    """Deliveries by the state they are shown in. Due times are those of deliveries that are not held:
    the first to come, and the first that has passed.
    """

    queued: int
    sending: int
    retrying: int
    held: int
    next_attempt_at: int | None
    oldest_due_at: int | None


class NodeState(StrEnum):
    ALIVE = "alive"
    LEFT = "left"
    DEAD = "dead"


class NodeRow(Value, frozen=True, kw_only=True):
    """The latest life of a node. `dead`: it neither lives nor has it left."""

    node_id: int
    state: NodeState
    joined_at: int
    seen_at: int
    left_at: int | None


class Traffic(Value, frozen=True):
    """Of all businesses, over a time in whole minutes."""

    events: int
    attempts: int


class SystemState(Value, frozen=True, kw_only=True):
    """`disk_free_bytes` is None where the store is not on this machine."""

    nodes: tuple[NodeRow, ...]
    last_minute: Traffic
    last_hour: Traffic
    database_bytes: int
    disk_free_bytes: int | None


class Monitoring(Protocol):
    """Answers from counts and indexes: what was delivered long ago is never looked at."""

    async def statistics(self, business_id: int, asked: Asked) -> Statistics: ...

    async def waiting_now(self, business_id: int, now: int) -> WaitingNow: ...

    async def system_state(self, now: int) -> SystemState:
        """Traffic of the last whole minute and the last sixty."""
        ...

    async def fold_statistics(self, limit: int, now: int) -> int:
        """One step of tidying what was counted, of about `limit` rows; 0 when nothing is left to do.

        It changes no answer. Without it, statistics cost more and more.
        """
        ...
