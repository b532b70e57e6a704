"""Deliveries and attempts as they are shown: pure functions of their rows."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ringback import ids
from ringback.api import objects
from ringback.envelope import WIRES, Header, iso_time, iso_time_or_none, shown_headers
from ringback.explain import Explanation, attempts_in_all
from ringback.match import Snapshot
from ringback.model import WAITING, Timings
from ringback.retry import policy_of
from ringback.store.port import AttemptRow, DeliveryRow

_MS_DIGITS = 3


def show(row: DeliveryRow, snapshot: Snapshot) -> objects.Delivery:
    return objects.Delivery(
        id=ids.public(ids.DELIVERY, row.delivery_id),
        event_id=row.event_id,
        event_type=row.event_type,
        integration_id=ids.public(ids.INTEGRATION, row.integration_id),
        integration_name=row.integration_name,
        state=objects.ShownState(row.state),
        attempt_count=row.attempts,
        max_attempts=_max_attempts(row, snapshot),
        next_attempt_at=iso_time_or_none(row.due_at) if row.state in WAITING else None,
        last_status=row.last_status,
        last_failure_class=row.last_failure,
        test=row.test,
        replay=row.replay,
        created_at=iso_time(row.created_at),
        finished_at=iso_time_or_none(row.finished_at),
    )


def _max_attempts(row: DeliveryRow, snapshot: Snapshot) -> int:
    integration = snapshot.integrations.get(row.integration_id)
    return attempts_in_all(row, None if integration is None else policy_of(integration.settings))


def show_attempt(attempt: AttemptRow, delivery: DeliveryRow, user_agent: str) -> objects.Attempt:
    return objects.Attempt(
        number=attempt.number,
        started_at=iso_time(attempt.started_at),
        duration_ms=round(attempt.timings.total_ms, _MS_DIGITS),
        timings=show_timings(attempt.timings),
        status=attempt.status,
        failure_class=attempt.failure,
        detail=attempt.detail,
        replay=attempt.replay,
        request_headers=_joined(_request_headers(attempt, delivery, user_agent)),
        response_headers=_joined(attempt.response_headers),
        response_body=None if attempt.status is None else attempt.response_body.decode(errors="replace"),
        response_truncated=attempt.truncated,
        remote_address=attempt.remote_address,
        http_version=attempt.http_version,
    )


def show_explanation(found: Explanation) -> objects.Explanation:
    return objects.Explanation(**msgspec.structs.asdict(found))


def show_timings(timings: Timings) -> objects.Timings:
    shown = {name: getattr(timings, name) for name in timings.__struct_fields__}
    return objects.Timings(**{name: ms and round(ms, _MS_DIGITS) for name, ms in shown.items()})


def _request_headers(attempt: AttemptRow, delivery: DeliveryRow, user_agent: str) -> list[Header]:
    return shown_headers(
        delivery.event_id,
        attempt.started_at,
        attempt.number,
        user_agent,
        attempt.signatures,
        attempt.header_names,
        content_type=WIRES[delivery.format].content_type,
        test=delivery.test,
        replay=attempt.replay,
    )


def _joined(headers: Iterable[Header]) -> dict[str, str]:
    """Repeated names become one, in the first one's spelling."""
    spelling: dict[str, str] = {}
    joined: dict[str, str] = {}
    for name, value in headers:
        shown = spelling.setdefault(name.lower(), name)
        joined[shown] = f"{joined[shown]}, {value}" if shown in joined else value
    return joined
