"""The answer to: what happened, why, what next, what to do."""

from __future__ import annotations

from ringback.explain import advice, evidence, outlook
from ringback.explain.advice import Advice
from ringback.explain.case import Case
from ringback.explain.evidence import title_within
from ringback.failures import FailureClass
from ringback.model import HELD, DeliveryState, Integration, Value
from ringback.store.port import AttemptRow, DeliveryRow
from ringback.words import at, away, clipped, moment, printable, sentence

MAX_TITLE, MAX_TEXT = 160, 800
_REASON = 100


class Explanation(Value, frozen=True, kw_only=True):
    """`failure` is None where nothing failed; no text is longer than `MAX_TEXT`."""

    failure: FailureClass | None
    title: str
    evidence: str
    cause: str | None
    fix: str | None
    next: str


def explain(
    delivery: DeliveryRow,
    attempts: tuple[AttemptRow, ...],
    integration: Integration | None,
    business_enabled: bool,
    now: int,
) -> Explanation:
    """`integration` is as configured now, None where it is deleted; attempts are in their order."""
    case = Case(delivery, attempts, integration, business_enabled, now)
    title, seen, advised = _story(case)
    return Explanation(
        failure=case.failure,
        title=clipped(title, MAX_TITLE),
        evidence=clipped(seen, MAX_TEXT),
        cause=advised.cause and clipped(advised.cause, MAX_TEXT),
        fix=advised.fix and clipped(advised.fix, MAX_TEXT),
        next=clipped(outlook.of(case), MAX_TEXT),
    )


_Story = tuple[str, str, Advice]


_BY_HAND = Advice(
    "Somebody asked for it: the audit log names who",
    f"If it should be sent after all, {outlook.BY_HAND}",
)
_DELETED = "Cancelled: its integration is deleted"
_BY_DELETION = Advice(
    "Deleting an integration cancels what waits for it",
    "If another integration should have the event, publish it again with another EventId",
)


def _story(case: Case) -> _Story:
    """Title, evidence and advice by the delivery's state."""
    match case.delivery.state:
        case DeliveryState.DELIVERED:
            return _delivered(case)
        case DeliveryState.DEAD:
            return _held_too_long(case) if case.ended_while_waiting else _failed(case, "Not delivered")
        case DeliveryState.CANCELLED:
            return _failed(case, "The test failed") if case.delivery.test else _cancelled(case)
        case DeliveryState.SENDING:
            return _sending(case)
    if case.delivery.state == HELD:
        return _held(case)
    asked_again = case.delivery.state == DeliveryState.QUEUED
    return _queued(case) if asked_again or case.failure is None else _failed(case, "Not delivered yet")


def _failed(case: Case, outcome: str) -> _Story:
    title = outcome if case.failure is None else f"{outcome}: {title_within(case.failure)}"
    return title, evidence.of_failure(case), advice.of_failure(case)


def _delivered(case: Case) -> _Story:
    title = "The test was delivered" if case.delivery.test else "Delivered"
    return title, evidence.of_success(case), advice.of_success(case)


def _queued(case: Case) -> _Story:
    row = case.delivery
    since = f"Accepted {at(row.created_at, case.now)} ({away(row.created_at, case.now)})"
    if row.attempts:
        by_hand = "; one more attempt was asked for by hand" if row.replay else ""
        return "Waiting to be sent again", _after(since + by_hand, case), advice.of_failure(case)
    most = (
        f" {case.name} takes at most {case.integration.max_concurrency} at once" if case.integration else ""
    )
    waits = f"{since}; it waits for its turn:{most}, and what came before goes first"
    return "Waiting for its first attempt", waits, advice.NONE


def _sending(case: Case) -> _Story:
    row = case.delivery
    due = "" if row.due_at is None else f" (due {at(row.due_at, case.now)})"
    now = f"Attempt {row.attempts + 1} is under way to {case.host}{due}"
    return "Being sent now", _after(now, case), advice.of_failure(case)


def _cancelled(case: Case) -> _Story:
    finished_at = case.delivery.finished_at
    when = "" if finished_at is None else f" {at(finished_at, case.now)}"
    seen = _after(f"What was still to be sent was cancelled{when}", case)
    return ("Cancelled by hand", seen, _BY_HAND) if case.integration else (_DELETED, seen, _BY_DELETION)


def _held(case: Case) -> _Story:
    return f"Held: {case.held_by}", _after(_held_since(case), case), _release(case)


def _held_since(case: Case) -> str:
    integration = case.integration
    if integration is None or not case.business_enabled:
        return "Nothing is sent for the business while it is disabled"
    reason = f" ({printable(integration.state_reason, _REASON)})" if integration.state_reason else ""
    since = f"{moment(integration.state_since, case.now)}, {away(integration.state_since, case.now)}"
    return f"{case.name} is {integration.state} since {since}{reason}"


def _release(case: Case) -> Advice:
    if not case.business_enabled:
        return Advice("The operator disabled the business", "Ask the operator to enable the business again")
    if case.failure is FailureClass.GONE_410 and case.release == "enable":
        why = "The receiver answered 410 Gone, which disables an integration of the standard profile"
        return Advice(
            why, f"Ask the receiver's owner for the new URL, save it, then enable: POST {case.path}/enable"
        )
    return Advice(_BY_HAND.cause, f"When it may go on: POST {case.path}/{case.release}")


def _held_too_long(case: Case) -> _Story:
    ended = "" if case.delivery.finished_at is None else f" {at(case.delivery.finished_at, case.now)}"
    seen = _after(f"It was given up{ended}, after it was held for as long as the settings allow", case)
    cause = "The integration, or its business, was paused or disabled all that time"
    return (
        "Not delivered: held for too long",
        seen,
        Advice(cause, f"Resume the integration, then {outlook.BY_HAND}"),
    )


def _after(seen: str, case: Case) -> str:
    """With what the last attempt came to, where it failed."""
    if case.failure is None:
        return sentence(seen)
    return f"{sentence(seen)}. Before that: {evidence.of_failure(case)}"
