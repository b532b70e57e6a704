"""How the whole system does, for its operator."""

from __future__ import annotations

from fastapi import APIRouter

from ringback.api import stats_objects as objects
from ringback.api.objects import Envelope
from ringback.api.reach import Operating
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.envelope import iso_time, iso_time_or_none
from ringback.store.port import Keep, NodeRow, NodeState, QueueDepth, SystemState

router = APIRouter(prefix="/api/v1/system", tags=["System"], route_class=ControlRoute)

_MINUTE, _HOUR = 60, 3_600
_DIGITS = 3


@router.get("", responses=refusals())
async def get_system(here: Operating) -> Envelope[objects.System]:
    """Nodes, what waits, what goes through, and the room it takes."""
    now = here.store.now()
    state, depth = await here.store.system_state(now), await here.store.queue_depth(now)
    return Envelope(data=show(here.context.version, here.context.keep, state, depth, now))


def show(version: str, keep: Keep, state: SystemState, depth: QueueDepth, now: int) -> objects.System:
    minute, hour = state.last_minute, state.last_hour
    return objects.System(
        version=version,
        nodes=[_node(one, now) for one in state.nodes],
        waiting=objects.Waiting(
            queued=depth.queued, sending=depth.sending, retrying=depth.retrying, held=depth.held
        ),
        oldest_due_at=iso_time_or_none(depth.oldest_due),
        events_per_second=_per_second(minute.events, hour.events),
        attempts_per_second=_per_second(minute.attempts, hour.attempts),
        database_bytes=state.database_bytes,
        disk_free_bytes=state.disk_free_bytes,
        retention=_retention(keep),
    )


def _node(node: NodeRow, now: int) -> objects.Node:
    return objects.Node(
        node_id=node.node_id,
        state=node.state,
        joined_at=iso_time(node.joined_at),
        seen_at=iso_time(node.seen_at),
        left_at=iso_time_or_none(node.left_at),
        uptime_seconds=max(now - node.joined_at, 0) // 1_000 if node.state is NodeState.ALIVE else None,
    )


def _per_second(in_minute: int, in_hour: int) -> objects.PerSecond:
    return objects.PerSecond(
        last_minute=round(in_minute / _MINUTE, _DIGITS), last_hour=round(in_hour / _HOUR, _DIGITS)
    )


def _retention(keep: Keep) -> objects.Retention:
    return objects.Retention(
        payload_days=keep.payloads,
        attempt_days=keep.attempts,
        hold_days=keep.held,
        audit_days=keep.audit,
        minute_stats_days=keep.minute_stats,
        hour_stats_days=keep.hour_stats,
    )
