"""Live updates as JSON: the objects that the other calls answer, each in one line."""

from __future__ import annotations

from collections.abc import Sequence

from ringback import ids
from ringback.api.delivery_views import show, show_timings
from ringback.api.integration_values import show as show_integration
from ringback.api.objects import Shown, ShownState
from ringback.api.stats_views import show_now
from ringback.api.stream_objects import DeletedIntegration, FinishedAttempt, StatsUpdate
from ringback.envelope import iso_time
from ringback.keyring import KeyRing
from ringback.model import Integration
from ringback.observe import feed
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Store


class StreamViews:
    def __init__(self, store: Store, live: LiveSnapshot, keyring: KeyRing) -> None:
        self._store = store
        self._live = live
        self._keyring = keyring

    def attempt(self, attempt: feed.FinishedAttempt) -> bytes:
        return _line(
            FinishedAttempt(
                delivery_id=ids.public(ids.DELIVERY, attempt.delivery_id),
                event_id=attempt.event_id,
                event_type=attempt.event_type,
                integration_id=ids.public(ids.INTEGRATION, attempt.integration_id),
                number=attempt.number,
                started_at=iso_time(attempt.started_at),
                duration_ms=round(attempt.timings.total_ms, 3),
                timings=show_timings(attempt.timings),
                status=attempt.status,
                failure_class=attempt.failure,
                detail=attempt.detail,
                state=ShownState(attempt.state),
                replay=attempt.replay,
                test=attempt.test,
            )
        )

    def integration(self, integration_id: int, integration: Integration | None) -> bytes:
        if integration is None:
            return _line(DeletedIntegration(id=ids.public(ids.INTEGRATION, integration_id)))
        return _line(show_integration(integration, self._keyring, self._store.now()))

    async def deliveries(self, business_id: int, delivery_ids: Sequence[int]) -> Sequence[bytes]:
        rows = await self._store.deliveries(business_id, delivery_ids)
        return [_line(show(row, self._live.current)) for row in reversed(rows)]

    async def stats(self, business_id: int) -> bytes:
        now = await self._store.waiting_now(business_id, self._store.now())
        return _line(StatsUpdate(now=show_now(now)))


def _line(shown: Shown) -> bytes:
    return shown.model_dump_json(by_alias=True).encode()
