"""What comes next: the next attempt's number and time, or why there is none."""

from __future__ import annotations

from ringback.explain.case import Case, ended_at
from ringback.model import EXHAUSTED, HELD, DeliveryState
from ringback.retry import Policy
from ringback.store.port import DeliveryRow
from ringback.words import at, at_about, away, duration, moment

BY_HAND = "retry it by hand (POST …/retry) for as long as its payload is kept"
_DELETED = "its integration is deleted, so it cannot be sent again"


def attempts_in_all(row: DeliveryRow, policy: Policy | None) -> int:
    """What the schedule allows; more where people added attempts, one for a test."""
    ahead = row.state in (DeliveryState.QUEUED, DeliveryState.RETRYING, DeliveryState.SENDING, HELD)
    if row.test or policy is None:
        return max(row.attempts + ahead, 1)
    left = len(policy.delays[row.tries :])
    return max(policy.max_attempts, row.attempts + (1 + left) * ahead)


def of(case: Case) -> str:
    row = case.delivery
    if row.test:
        return "Tests are not retried: send another one when you like"
    match row.state:
        case DeliveryState.DELIVERED:
            return _of_delivered(case)
        case DeliveryState.DEAD:
            return f"No further attempt{_ended_by(case)}; {_DELETED if case.integration is None else BY_HAND}"
        case DeliveryState.CANCELLED:
            return _of_cancelled(case)
        case DeliveryState.SENDING:
            return _of_sending(case)
    return _of_held(case) if row.state == HELD else _of_waiting(case)


def _ended_by(case: Case) -> str:
    last = case.last
    if last is None or case.ended_while_waiting:
        return ""
    which = f"the last of {last.number}" if last.number > 1 else "the only one"
    return f": {which} failed {at(ended_at(last), case.now)}"


def _of_delivered(case: Case) -> str:
    if case.integration is None:
        return f"Nothing: it is delivered; {_DELETED}"
    return f"Nothing: it is delivered. To have it sent once more, {BY_HAND}"


def _of_cancelled(case: Case) -> str:
    if case.integration is None:
        return f"No further attempt: {_DELETED}"
    return f"No further attempt: it was cancelled; {BY_HAND}"


def _of_sending(case: Case) -> str:
    limit = f" within {duration(case.policy.timeout_ms)}" if case.policy else ""
    return f"{_attempt(case)} is under way: its outcome is known{limit}{_then(case)}"


def _then(case: Case) -> str:
    """What a failure of the attempt under way would lead to."""
    row, policy = case.delivery, case.policy
    if policy is None or row.tries >= len(policy.delays):
        return "; there is none after it"
    return f"; if it fails, the next one comes about {duration(policy.delays[row.tries] * 1000)} later"


def _of_held(case: Case) -> str:
    next_one = _attempt(case, later=True).removesuffix(",")
    return f"Nothing is sent while {case.held_by}. Once it is {case.release}d: {next_one}{_held_due(case)}"


def _held_due(case: Case) -> str:
    due = case.delivery.due_at
    if due is None:
        return ""
    if due > case.now:
        return f", not before {moment(due, case.now)}"
    return f", at the integration's pace (it was due {at(due, case.now)})"


def _of_waiting(case: Case) -> str:
    row, due = case.delivery, case.delivery.due_at
    if due is not None and due > case.now:
        when = f"{at(due, case.now)} ({away(due, case.now)})"
    else:
        when = f"as soon as its turn comes (due since {moment(due or row.created_at, case.now)})"
    return f"{_attempt(case)} {when}{_last_one(case)}"


def _attempt(case: Case, *, later: bool = False) -> str:
    row = case.delivery
    word = "attempt" if later else "Attempt"
    if row.tries >= EXHAUSTED:
        return f"{word} {row.attempts + 1}, asked for by hand,"
    return f"{word} {row.attempts + 1} of {attempts_in_all(row, case.policy)}"


def _last_one(case: Case) -> str:
    row, policy = case.delivery, case.policy
    delays = policy.delays[row.tries :] if policy else ()
    if not delays:
        return ", the last one"
    last = max(row.due_at or 0, case.now) + sum(delays) * 1000
    return f", the last one {at_about(last, case.now)}"
