"""What changed in one business since its last messages: bounded, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

import msgspec

from ringback.failures import FailureClass
from ringback.model import AttemptResult, DeliveryState, Integration, Timings, Value

MAX_ITEMS = 100
# So many are told apart; beyond it a delivery that changes twice counts twice.
MAX_COUNTED = 50_000


class FinishedAttempt(Value, frozen=True, kw_only=True):
    """An attempt without its headers and bodies. `state` is the delivery's after it."""

    delivery_id: int
    event_id: str
    event_type: str
    integration_id: int
    number: int
    started_at: int
    timings: Timings
    status: int | None
    failure: FailureClass | None
    detail: str | None
    state: DeliveryState
    replay: bool
    test: bool


class Changes:
    """Of deliveries the ids, of attempts the first ones, of integrations the newest version (None: gone)."""

    __slots__ = ("_uncounted", "attempt_count", "attempts", "deliveries", "integrations")

    def __init__(self) -> None:
        self.deliveries: set[int] = set()
        self.attempts: list[FinishedAttempt] = []
        self.attempt_count = 0
        self.integrations: dict[int, Integration | None] = {}
        self._uncounted = 0

    def __bool__(self) -> bool:
        return bool(self.deliveries or self.attempt_count or self.integrations or self._uncounted)

    @property
    def delivery_count(self) -> int:
        return len(self.deliveries) + self._uncounted

    @property
    def newest_deliveries(self) -> list[int]:
        """Those at the top of every list."""
        return nlargest(MAX_ITEMS, self.deliveries)

    def add_deliveries(self, delivery_ids: Iterable[int]) -> None:
        for delivery_id in delivery_ids:
            if len(self.deliveries) < MAX_COUNTED:
                self.deliveries.add(delivery_id)
            else:
                self._uncounted += 1

    def add_attempt(self, result: AttemptResult, delivery_id: int) -> None:
        self.attempt_count += 1
        if len(self.attempts) < MAX_ITEMS:
            self.attempts.append(_finished(result, delivery_id))

    def merge(self, batch: Batch) -> None:
        """What a sibling process noticed."""
        self.add_deliveries(batch.deliveries)
        self._uncounted += batch.more_deliveries
        self.attempts += batch.attempts[: MAX_ITEMS - len(self.attempts)]
        self.attempt_count += len(batch.attempts) + batch.more_attempts


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one process tells its siblings about one business.

    `watched`: somebody follows it here, so tell what you notice.
    """

    business_id: int
    watched: bool = False
    deliveries: list[int] = []
    more_deliveries: int = 0
    attempts: list[FinishedAttempt] = []
    more_attempts: int = 0


def batch_of(business_id: int, changes: Changes) -> Batch:
    """Integrations are left out: every process learns of them from the configuration."""
    shown = changes.newest_deliveries
    return Batch(
        business_id=business_id,
        deliveries=shown,
        more_deliveries=changes.delivery_count - len(shown),
        attempts=changes.attempts,
        more_attempts=changes.attempt_count - len(changes.attempts),
    )


def _finished(result: AttemptResult, delivery_id: int) -> FinishedAttempt:
    leased, outcome = result.leased, result.outcome
    return FinishedAttempt(
        delivery_id=delivery_id,
        event_id=leased.message.event_id,
        event_type=leased.message.event_type,
        integration_id=leased.integration_id,
        number=leased.number,
        started_at=outcome.started_at,
        timings=outcome.timings,
        status=outcome.status,
        failure=result.failure,
        detail=outcome.detail,
        state=result.decision.state,
        replay=leased.replay,
        test=result.test,
    )
