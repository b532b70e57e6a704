"""Values and situations that many tests start from, each made through the store's own verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from ringback import ids
from ringback.failures import FailureClass
from ringback.match import EMPTY
from ringback.model import (
    ApiKey,
    AttemptResult,
    Business,
    Decision,
    DeliveryState,
    Integration,
    IntegrationSettings,
    IntegrationState,
    Leased,
    Message,
    Node,
    Outcome,
    Scope,
    Secret,
    SecretState,
    Timings,
)
from ringback.store.port import (
    Accepted,
    Change,
    DeliveryRow,
    Keep,
    NewBusiness,
    NewEvent,
    Publish,
    Store,
    Target,
)

# A moment that is not a whole minute.
NOON = 1_790_000_012_345
KEEP = Keep(payloads=30, attempts=90, held=30, audit=400, minute_stats=8, hour_stats=400)
DATA = b'{"QueueId":"queue_1","DurationSeconds":42}'


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_ms(self, ms: int) -> int:
        self.now += ms
        return self.now


def change(action: str = "thing.change", at: int = NOON, actor: str = "key:test") -> Change:
    return Change(actor=actor, action=action, at=at)


def integration(business_id: int, number: int = 1, at: int = NOON, **fields: Any) -> Integration:
    """An active one that wants everything; `number` tells it from others of the same moment."""
    return Integration(
        **{
            "integration_id": ids.first_id(at) + 500_000 + number,
            "business_id": business_id,
            "type": "webhook",
            "friendly_name": f"Endpoint {number}",
            "url": f"https://example.com/hooks/{number}",
            "events": ("*",),
            "settings": IntegrationSettings(),
            "sealed_headers": None,
            "secrets": (secret(ids.first_id(at) + 700_000 + number, at=at),),
            "state": IntegrationState.ACTIVE,
            "state_reason": None,
            "state_since": at,
            "created_at": at,
            "updated_at": at,
            "version": 1,
            **fields,
        }
    )


def secret(secret_id: int, state: SecretState = SecretState.CURRENT, at: int = NOON) -> Secret:
    return Secret(secret_id=secret_id, state=state, sealed=b"sealed", ends_in="x9Qz", created_at=at)


def api_key(number: int = 1, **fields: Any) -> ApiKey:
    return ApiKey(
        **{
            "key_id": ids.first_id(NOON) + number,
            "friendly_name": f"Key {number}",
            "scopes": frozenset({Scope.PUBLISH}),
            "business_ids": frozenset(),
            "digest": bytes([number]) * 32,
            "ends_in": "abcd",
            "created_at": NOON,
            **fields,
        }
    )


def event(
    event_id: str, *targets: Target, business_id: int = 1, generated: bool = False, **fields: Any
) -> NewEvent:
    return NewEvent(
        message=Message(
            **{
                "event_id": event_id,
                "event_type": "call.completed",
                "business_id": business_id,
                "timestamp": NOON,
                "data": DATA,
                **fields,
            }
        ),
        generated=generated,
        targets=targets,
    )


def direct(lane: int) -> Target:
    return Target(integration_id=lane, direct=True)


def queued(lane: int) -> Target:
    return Target(integration_id=lane, direct=False)


def leased_of(new: NewEvent, accepted: Accepted, now: int, place: int = 0) -> Leased:
    """What its node holds of a delivery that was born leased."""
    return Leased(
        delivery_id=accepted.row_id + 1 + place,
        integration_id=new.targets[place].integration_id,
        message=new.message,
        attempts=0,
        tries=0,
        due_at=now,
        created_at=now,
    )


def delivered(leased: Leased, at: int, **outcome: Any) -> AttemptResult:
    return result(leased, at, Decision(state=DeliveryState.DELIVERED), None, **{"status": 200, **outcome})


def retrying(leased: Leased, at: int, due_at: int, **outcome: Any) -> AttemptResult:
    decision = Decision(state=DeliveryState.RETRYING, due_at=due_at)
    return result(leased, at, decision, FailureClass.SERVER_500, **{"status": 500, **outcome})


def dead(leased: Leased, at: int, **outcome: Any) -> AttemptResult:
    decision = Decision(state=DeliveryState.DEAD)
    return result(leased, at, decision, FailureClass.UNAVAILABLE_503, **{"status": 503, **outcome})


def unanswered(leased: Leased, at: int, due_at: int) -> AttemptResult:
    decision = Decision(state=DeliveryState.RETRYING, due_at=due_at)
    timeout = FailureClass.RESPONSE_TIMEOUT
    return result(leased, at, decision, timeout, transport=timeout, detail="no answer in 5 s")


def result(
    leased: Leased, at: int, decision: Decision, failure: FailureClass | None, **outcome: Any
) -> AttemptResult:
    """An attempt of 12 ms that ended at `at`."""
    return AttemptResult(
        leased=leased,
        outcome=Outcome(
            **{"started_at": at - 12, "ended_at": at, "timings": Timings(total_ms=12.0), **outcome}
        ),
        failure=failure,
        decision=decision,
    )


@dataclass
class Tenant:
    """A business with integrations and a node that serves it, on a real store."""

    store: Store
    node: Node
    business: Business
    integrations: list[Integration]
    clock: Clock
    version: int = 0
    _events: int = field(default=0)

    @property
    def id(self) -> int:
        return self.business.business_id

    @property
    def lanes(self) -> list[int]:
        return [one.integration_id for one in self.integrations]

    @property
    def lane(self) -> int:
        return self.lanes[0]

    async def refresh(self) -> None:
        self.version = (await self.store.snapshot(EMPTY)).version

    def new(self, *targets: Target, **fields: Any) -> NewEvent:
        """An event with an EventId of its own."""
        self._events += 1
        name = fields.pop("event_id", f"evt_{self.id}_{self._events}")
        return event(name, *targets, **{"business_id": self.id, **fields})

    async def accept(self, *new: NewEvent) -> list[Accepted]:
        """One publish of these events, which must be accepted."""
        (answer,) = await self.accept_all(tuple(new))
        assert isinstance(answer, list)
        return answer

    async def accept_all(self, *publishes: Publish) -> list[Any]:
        return list(await self.store.accept(publishes, self.version, self.node, self.clock()))

    async def sending(self, lane: int | None = None, **fields: Any) -> Leased:
        """A delivery born leased."""
        new = self.new(direct(lane or self.lane), **fields)
        (accepted,) = await self.accept(new)
        return leased_of(new, accepted, self.clock())

    async def waiting(self, lane: int | None = None, **fields: Any) -> int:
        """A delivery that is queued. Its id."""
        (accepted,) = await self.accept(self.new(queued(lane or self.lane), **fields))
        return accepted.row_id + 1

    async def record(self, *results: AttemptResult) -> frozenset[int]:
        return await self.store.record(results, self.node)

    async def claim(self, quotas: Mapping[int, int] | None = None) -> tuple[Leased, ...]:
        asked = quotas or dict.fromkeys(self.lanes, 100)
        return (await self.store.claim(asked, self.node, self.clock())).leased

    async def delivery(self, delivery_id: int) -> DeliveryRow:
        row, _ = await self.store.get_delivery(self.id, delivery_id)
        return row

    async def state(self, delivery_id: int) -> str:
        return (await self.delivery(delivery_id)).state

    async def in_state(self, state: DeliveryState) -> int:
        """The id of a delivery that has come to this state as deliveries do."""
        if state is DeliveryState.QUEUED:
            return await self.waiting()
        if state is DeliveryState.CANCELLED:
            delivery_id = await self.waiting()
            await self.store.cancel_delivery(self.id, delivery_id, change(at=self.clock()))
            return delivery_id
        leased = await self.sending()
        now = self.clock()
        if state is DeliveryState.RETRYING:
            await self.record(retrying(leased, now, now + 60_000))
        if state is DeliveryState.DELIVERED:
            await self.record(delivered(leased, now))
        if state is DeliveryState.DEAD:
            await self.record(dead(leased, now))
        return leased.delivery_id

    async def set_state(self, state: IntegrationState, place: int = 0) -> None:
        """Pause, disable or let go one of the integrations."""
        current = await self.store.get_integration(self.id, self.lanes[place])
        changed = replace(current, state=state, state_since=self.clock())
        self.integrations[place] = await self.store.save_integration(changed, change(at=self.clock()))
        await self.refresh()


async def a_tenant(
    store: Store, clock: Clock, integrations: int = 2, node: Node | None = None, name: str = "Acme"
) -> Tenant:
    """A business with so many active integrations."""
    business = await store.create_business(NewBusiness(name=name), change(at=clock()))
    first = business.business_id * 1_000
    made = [
        await store.create_integration(
            integration(business.business_id, first + number, at=clock()), change(at=clock())
        )
        for number in range(1, integrations + 1)
    ]
    joined = await store.join(clock()) if node is None else node
    tenant = Tenant(store, joined, business, made, clock)
    await tenant.refresh()
    return tenant
