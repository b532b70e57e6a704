"""What a store holds, as plain dictionaries, and what follows from it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from ringback.failures import FailureClass
from ringback.model import WAITING, DeliveryState, IntegrationState, Leased, Message, Node, Value
from ringback.store.port import QueueDepth


class Event(Value, frozen=True, kw_only=True):
    message: Message
    accepted_at: int
    fanout: int
    test: bool


class Delivery(Value, frozen=True, kw_only=True):
    event_row: int
    business_id: int
    integration_id: int
    event_type: str
    state: DeliveryState
    created_at: int
    due_at: int | None = None
    lease: Node | None = None
    finished_at: int | None = None
    attempts: int = 0
    tries: int = 0
    manual: bool = False
    replayed: bool = False
    test: bool = False
    last_status: int | None = None
    last_failure: FailureClass | None = None


class Attempt(Value, frozen=True, kw_only=True):
    ended_at: int
    total_ms: float
    status: int | None
    failure: FailureClass | None
    replay: bool


class Endpoint(Value, frozen=True, kw_only=True):
    """An integration, as far as its lane depends on it."""

    business_id: int
    state: IntegrationState = IntegrationState.ACTIVE
    version: int = 1
    deleted: bool = False


class Owner(Value, frozen=True, kw_only=True):
    """A business, as far as its lanes depend on it."""

    enabled: bool = True
    deleted: bool = False


@dataclass
class Contents:
    """`configuration` and `audited`: the version, and the number of changes that somebody answers for."""

    configuration: int = 0
    audited: int = 0
    businesses: dict[int, Owner] = field(default_factory=dict)
    integrations: dict[int, Endpoint] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)

    def copy(self) -> Self:
        return type(self)(
            self.configuration,
            self.audited,
            dict(self.businesses),
            dict(self.integrations),
            dict(self.events),
            dict(self.deliveries),
            dict(self.attempts),
        )

    # -- questions

    @property
    def last_id(self) -> int:
        return max([0, *self.events, *self.deliveries])

    def rows_by_event_id(self) -> dict[tuple[int, str], int]:
        return {(one.message.business_id, one.message.event_id): row for row, one in self.events.items()}

    def is_held(self, lane: int) -> bool:
        endpoint = self.integrations[lane]
        owner = self.businesses[endpoint.business_id]
        return endpoint.deleted or endpoint.state is not IntegrationState.ACTIVE or not owner.enabled

    def lanes(self, business_id: int) -> list[int]:
        """Those that a snapshot has."""
        return [
            lane
            for lane, one in self.integrations.items()
            if one.business_id == business_id and not one.deleted
        ]

    def waiting(self, lane: int) -> list[int]:
        """Earliest due first, then by id."""
        waiting = [
            (one.due_at or 0, row)
            for row, one in self.deliveries.items()
            if one.integration_id == lane and one.state in WAITING
        ]
        return [row for _, row in sorted(waiting)]

    def first_due(self, lane: int) -> int | None:
        waiting = self.waiting(lane)
        return self.deliveries[waiting[0]].due_at if waiting else None

    def leased_to(self, nodes: Collection[Node]) -> set[int]:
        return {row for row, one in self.deliveries.items() if one.lease in nodes}

    def shown_state(self, row: int) -> str:
        one = self.deliveries[row]
        if one.state not in WAITING:
            return one.state
        if self.integrations[one.integration_id].deleted:
            return DeliveryState.CANCELLED
        return "held" if self.is_held(one.integration_id) else one.state

    def leased(self, row: int) -> Leased:
        one = self.deliveries[row]
        return Leased(
            delivery_id=row,
            integration_id=one.integration_id,
            message=self.events[one.event_row].message,
            attempts=one.attempts,
            tries=one.tries,
            due_at=one.due_at or 0,
            created_at=one.created_at,
            replay=one.manual,
        )

    def queue_depth(self, now: int) -> QueueDepth:
        shown = [self.shown_state(row) for row in self.deliveries]
        open_lanes = [lane for lane in self.integrations if not self.is_held(lane)]
        due = [at for lane in open_lanes if (at := self.first_due(lane)) is not None and at <= now]
        return QueueDepth(
            queued=shown.count("queued"),
            retrying=shown.count("retrying"),
            held=shown.count("held"),
            sending=shown.count("sending"),
            oldest_due=min(due, default=None),
        )
