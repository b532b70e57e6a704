"""The store as plain dictionaries: what every verb of the port must come to.

A verb changes the dictionaries and returns what the store must answer, or raises what the store must
raise and changes nothing. What the port leaves to the store (row ids, which ones of many) is taken from
`found`, the state of the store after the verb.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from msgspec.structs import replace

from ringback.errors import Conflict, StaleSnapshot
from ringback.model import (
    EXHAUSTED,
    FINISHED,
    WAITING,
    AttemptResult,
    DeliveryState,
    IntegrationState,
    Leased,
    Message,
    Node,
)
from ringback.store.port import Accepted, NewEvent, Publish
from tests.model.contents import Attempt, Contents, Delivery, Endpoint, Event, Owner

# No database takes a lone surrogate.
POISON = "\ud800"


class Reference(Contents):
    # -- the path of an event

    def accept(
        self, publishes: Sequence[Publish], version: int, node: Node, now: int, found: Contents
    ) -> list[list[Accepted] | None]:
        """None stands for `Poisoned`."""
        if version != self.configuration:
            raise StaleSnapshot
        rows = found.rows_by_event_id()
        return [
            None if _is_poisonous(publish) else [self._accept_one(new, node, now, rows) for new in publish]
            for publish in publishes
        ]

    def _accept_one(
        self, new: NewEvent, node: Node, now: int, rows: Mapping[tuple[int, str], int]
    ) -> Accepted:
        message = new.message
        row = rows[message.business_id, message.event_id]
        known = self.events.get(row)
        if known is not None:
            return Accepted(row_id=row, deliveries=known.fanout, duplicate=True)
        assert row > self.last_id, "row ids grow"
        fanout = len(new.targets)
        self.events[row] = Event(message=message, accepted_at=now, fanout=fanout, test=False)
        for delivery_row, target in enumerate(new.targets, row + 1):
            self.deliveries[delivery_row] = Delivery(
                event_row=row,
                business_id=message.business_id,
                integration_id=target.integration_id,
                event_type=message.event_type,
                state=DeliveryState.SENDING if target.direct else DeliveryState.QUEUED,
                lease=node if target.direct else None,
                due_at=now,
                created_at=now,
            )
        return Accepted(row_id=row, deliveries=fanout, duplicate=False)

    def claim(
        self, quotas: Mapping[int, int], node: Node, now: int
    ) -> tuple[dict[int, list[Leased]], dict[int, int | None]]:
        """What is leased by lane, and each lane's next due time."""
        leased = {lane: self._claim_lane(lane, quota, node, now) for lane, quota in quotas.items()}
        next_due = {
            lane: None if lane not in self.integrations or self.is_held(lane) else self.first_due(lane)
            for lane in quotas
        }
        return {lane: some for lane, some in leased.items() if some}, next_due

    def _claim_lane(self, lane: int, quota: int, node: Node, now: int) -> list[Leased]:
        if lane not in self.integrations or self.is_held(lane):
            return []
        due = [row for row in self.waiting(lane) if (self.deliveries[row].due_at or 0) <= now][:quota]
        leased = [self.leased(row) for row in due]
        for row in due:
            self._set(row, state=DeliveryState.SENDING, lease=node)
        return leased

    def record(self, results: Sequence[AttemptResult], node: Node) -> frozenset[int]:
        return frozenset(
            result.leased.delivery_id for result in results if self._is_ours(result.leased, node, result)
        )

    def _is_ours(self, leased: Leased, node: Node, result: AttemptResult) -> bool:
        """The fence; what passes it is written."""
        one = self.deliveries[leased.delivery_id]
        if one.lease != node or one.attempts != leased.attempts:
            return False
        self._write_attempt(leased.delivery_id, result)
        state = result.decision.state
        self._set(
            leased.delivery_id,
            state=state,
            lease=None,
            manual=False,
            due_at=result.decision.due_at,
            finished_at=result.outcome.ended_at if state in FINISHED else None,
            attempts=one.attempts + 1,
            tries=one.tries + (not leased.replay),
            replayed=one.replayed or leased.replay,
            last_status=result.outcome.status,
            last_failure=result.failure,
        )
        return True

    def record_test(self, message: Message, result: AttemptResult, now: int, found: Contents) -> int:
        row = found.rows_by_event_id()[message.business_id, message.event_id]
        assert row > self.last_id, "row ids grow"
        self.events[row] = Event(message=message, accepted_at=now, fanout=1, test=True)
        self.deliveries[row + 1] = Delivery(
            event_row=row,
            business_id=message.business_id,
            integration_id=result.leased.integration_id,
            event_type=message.event_type,
            state=result.decision.state,
            created_at=now,
            finished_at=result.outcome.ended_at,
            attempts=1,
            tries=1,
            test=True,
            last_status=result.outcome.status,
            last_failure=result.failure,
        )
        self._write_attempt(row + 1, result)
        return row + 1

    def release(self, rows: Collection[int], node: Node) -> int:
        given_back = self.leased_to([node]).intersection(rows)
        self._give_back(given_back)
        return len(given_back)

    def rescue(self, limit: int, alive: Collection[Node], found: Contents) -> int:
        """Which ones of the dead nodes' is the store's choice."""
        dead = {row for row, one in self.deliveries.items() if one.lease and one.lease not in alive}
        rescued = {row for row in dead if found.deliveries[row].lease is None}
        assert len(rescued) == min(limit, len(dead))
        self._give_back(rescued)
        return len(rescued)

    def finish_cancellations(self, limit: int, now: int, found: Contents) -> int:
        """Which ones of the deleted integrations' is the store's choice."""
        deleted = [lane for lane, one in self.integrations.items() if one.deleted]
        waiting = [row for lane in deleted for row in self.waiting(lane)]
        cancelled = [row for row in waiting if found.deliveries[row].state is DeliveryState.CANCELLED]
        assert len(cancelled) == min(limit, len(waiting))
        for row in cancelled:
            self._cancel(row, now)
        return len(cancelled)

    # -- by hand

    def retry_delivery(self, row: int, now: int) -> str:
        """The state it is shown in."""
        one = self.deliveries[row]
        deleted = self.integrations[one.integration_id].deleted
        if one.state in (DeliveryState.SENDING, DeliveryState.QUEUED) or one.test or deleted:
            raise Conflict
        tries = max(one.tries, EXHAUSTED) if one.state in FINISHED else one.tries
        self._set(row, state=DeliveryState.QUEUED, manual=True, due_at=now, tries=tries, finished_at=None)
        self.audited += 1
        return self.shown_state(row)

    def cancel_delivery(self, row: int, now: int) -> str:
        one = self.deliveries[row]
        if one.state not in WAITING or self.integrations[one.integration_id].deleted:
            raise Conflict
        self._cancel(row, now)
        self.audited += 1
        return self.shown_state(row)

    # -- the configuration

    def create_integration(self, lane: int, business_id: int, found: Contents) -> int:
        self.integrations[lane] = Endpoint(business_id=business_id)
        self._reconfigured(found)
        return lane

    def save_integration(
        self, lane: int, state: IntegrationState, version: int, found: Contents
    ) -> tuple[IntegrationState, int]:
        """The state and the version that it has now."""
        if self.integrations[lane].version != version:
            raise Conflict
        self.integrations[lane] = replace(self.integrations[lane], state=state, version=version + 1)
        self._reconfigured(found)
        return state, version + 1

    def delete_integration(self, lane: int, found: Contents) -> None:
        self._forget([lane])
        self._reconfigured(found)

    def save_business(self, business_id: int, enabled: bool, found: Contents) -> bool:
        self.businesses[business_id] = Owner(enabled=enabled)
        self._reconfigured(found)
        return enabled

    def delete_business(self, business_id: int, found: Contents) -> None:
        self.businesses[business_id] = replace(self.businesses[business_id], deleted=True)
        self._forget(self.lanes(business_id))
        self._reconfigured(found)

    # -- single rows

    def _set(self, row: int, **changed: object) -> None:
        self.deliveries[row] = replace(self.deliveries[row], **changed)

    def _give_back(self, rows: Iterable[int]) -> None:
        for row in rows:
            one = self.deliveries[row]
            again = one.attempts > 0 and not one.manual
            self._set(row, state=DeliveryState.RETRYING if again else DeliveryState.QUEUED, lease=None)

    def _cancel(self, row: int, now: int) -> None:
        self._set(row, state=DeliveryState.CANCELLED, due_at=None, finished_at=now, manual=False)

    def _write_attempt(self, row: int, result: AttemptResult) -> None:
        key = row, result.leased.number
        assert key not in self.attempts
        self.attempts[key] = Attempt(
            ended_at=result.outcome.ended_at,
            total_ms=result.outcome.timings.total_ms,
            status=result.outcome.status,
            failure=result.failure,
            replay=result.leased.replay,
        )

    def _forget(self, lanes: Iterable[int]) -> None:
        for lane in lanes:
            self.integrations[lane] = replace(self.integrations[lane], deleted=True)

    def _reconfigured(self, found: Contents) -> None:
        assert found.configuration > self.configuration
        self.configuration = found.configuration
        self.audited += 1


def by_lane(leased: Iterable[Leased]) -> dict[int, list[Leased]]:
    """In the order they came in, lane by lane."""
    ordered = sorted(leased, key=lambda one: one.integration_id)
    return {lane: list(some) for lane, some in groupby(ordered, key=lambda one: one.integration_id)}


def _is_poisonous(publish: Publish) -> bool:
    return any(POISON in new.message.event_type for new in publish)
