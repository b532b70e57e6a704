"""The wide lines: one for each event and each attempt, for machines or for people."""

from __future__ import annotations

import msgspec

from ringback import ids
from ringback.envelope import iso_time, iso_time_or_none
from ringback.failures import FailureClass
from ringback.model import AttemptResult, Timings


class EventLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One accepted event."""

    at: str
    level: str
    msg: str
    event: str
    type: str
    business: int
    bytes: int
    deliveries: int
    commit_ms: float
    duplicate: bool = False
    schema_errors: str | None = None


class AttemptLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One attempt, with everything that explains it but the bodies."""

    at: str
    level: str
    msg: str
    event: str
    type: str
    business: int
    integration: str
    delivery: str
    attempt: int
    state: str
    ms: float
    queued_ms: int
    timings: Timings
    status: int | None = None
    failure: FailureClass | None = None
    detail: str | None = None
    due_at: str | None = None
    address: str | None = None
    http: str | None = None
    replay: bool = False
    test: bool = False
    recorded: bool = True


Line = EventLine | AttemptLine


def attempt_line(result: AttemptResult, recorded: bool) -> AttemptLine:
    leased, outcome, decision = result.leased, result.outcome, result.decision
    return AttemptLine(
        iso_time(outcome.ended_at),
        "info",
        "attempt",
        leased.message.event_id,
        leased.message.event_type,
        leased.message.business_id,
        ids.public(ids.INTEGRATION, leased.integration_id),
        ids.public(ids.DELIVERY, leased.delivery_id),
        leased.number,
        decision.state,
        round(outcome.timings.total_ms, 3),
        outcome.started_at - leased.due_at,
        outcome.timings,
        outcome.status,
        result.failure,
        outcome.detail,
        iso_time_or_none(decision.due_at),
        outcome.remote_address,
        outcome.http_version,
        leased.replay,
        result.test,
        recorded,
    )


_encoder = msgspec.json.Encoder()


def render_json(lines: list[Line]) -> str:
    return _encoder.encode_lines(lines).decode()


def render_human(lines: list[Line]) -> str:
    return "".join([_human(line) + "\n" for line in lines])


def _human(line: Line) -> str:
    at = line.at[11:23]
    if isinstance(line, EventLine):
        again = " again" if line.duplicate else ""
        return f"{at} accepted  {line.type:<22} {line.event}{again} → {line.deliveries} deliveries"
    answer = str(line.status) if line.failure is None else line.failure
    then = f", next at {line.due_at[11:19]}" if line.due_at else ""
    marks = " test" if line.test else " replay" if line.replay else ""
    return (
        f"{at} {line.state:<9} {line.type:<22} {line.event} → {line.integration} "
        f"attempt {line.attempt}{marks}: {answer} in {line.ms:.0f} ms{then}"
    )
