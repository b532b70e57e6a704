"""What came of everything, counted row by row from what the server stored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ringback.model import HELD, DeliveryState, Value
from ringback.store.port import DeliveryFilter, EventFilter, Store
from ringback.store.sqlite import SqliteStore
from ringback.store.walk import LIMIT, walk

_FIXED_ORDER = (
    DeliveryState.DELIVERED,
    DeliveryState.RETRYING,
    DeliveryState.QUEUED,
    HELD,
    DeliveryState.DEAD,
    DeliveryState.CANCELLED,
)


class Sums(Value, frozen=True, kw_only=True):
    """`promised` is the number of deliveries the events say they have; `by_state` counts those there are."""

    events: int
    promised: int
    by_state: dict[str, int]
    tests: int

    @property
    def deliveries(self) -> int:
        return sum(self.by_state.values())

    @property
    def add_up(self) -> bool:
        """Every delivery of every accepted event is in one of the six states: none missing, none astray."""
        return self.promised == self.deliveries and set(self.by_state) <= {str(one) for one in _FIXED_ORDER}

    def lines(self) -> tuple[str, ...]:
        parts = [f"{self.by_state.get(state, 0):,} {state}" for state in _FIXED_ORDER]
        parts += [f"{n:,} {state}" for state, n in self.by_state.items() if state not in _FIXED_ORDER]
        equal = "=" if self.add_up else "≠"
        return (
            f"events accepted  {self.events:,}",
            f"deliveries       {self.promised:,} {equal} {' + '.join(parts)}",
            f"test sends       {self.tests:,}, counted apart",
        )


async def count(database: Path, business: int) -> Sums:
    """Once the server is down. Raises ConfigurationError, StoreError."""
    store = await SqliteStore.open(database)
    try:
        return await _count(store, business)
    finally:
        await store.close()


async def _count(store: Store, business: int) -> Sums:
    events = promised = 0
    async for event in walk(
        lambda before: store.list_events(business, EventFilter(test=False), LIMIT, before)
    ):
        events += 1
        promised += event.deliveries
    states: Counter[str] = Counter()
    tests = 0
    async for delivery in walk(
        lambda before: store.list_deliveries(business, DeliveryFilter(), LIMIT, before)
    ):
        tests += delivery.test
        if not delivery.test:
            states[str(delivery.state)] += 1
    return Sums(events=events, promised=promised, by_state=dict(states), tests=tests)
