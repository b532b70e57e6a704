"""Random publishes, results and choices, as the reference's present state allows them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from ringback.failures import FailureClass
from ringback.model import AttemptResult, Decision, DeliveryState, Leased, Message
from ringback.store.port import NewEvent, Publish, Target
from tests.builders import NOON, dead, delivered, direct, event, queued, result, retrying, unanswered
from tests.model.reference import POISON, Reference

FreshId = Callable[[], str]
Ended = Callable[[Leased, int], AttemptResult]

# Few, so that repeats are many.
EVENT_IDS = [f"evt_{number}" for number in range(10)]
EVENT_TYPES = ["call.started", "call.completed"]
# The second is over a page: its row has several.
PAYLOADS = [b'{"n":1}', b'"' + b"x" * 6_000 + b'"']


def _cancelled(leased: Leased, at: int) -> AttemptResult:
    gone = FailureClass.GONE_410
    return result(leased, at, Decision(state=DeliveryState.CANCELLED), gone, status=410)


ENDINGS: list[Ended] = [
    delivered,
    lambda leased, at: delivered(leased, at, detail=POISON),
    _cancelled,
    dead,
    lambda leased, at: retrying(leased, at, at),
    lambda leased, at: retrying(leased, at, at + 5_000, status=302),
    lambda leased, at: unanswered(leased, at, at + 120_000),
]


def publishes(dice: Random, reference: Reference, fresh_id: FreshId) -> list[Publish]:
    return [_publish(dice, reference, fresh_id) for _ in range(dice.randint(1, 3))]


def _publish(dice: Random, reference: Reference, fresh_id: FreshId) -> Publish:
    """Seldom a poisonous one: its good events must not be accepted either."""
    events = [_new_event(dice, reference, fresh_id) for _ in range(dice.randint(1, 3))]
    if chance(dice, 0.05):
        events.append(event(fresh_id(), event_type=POISON))
    return tuple(events)


def _new_event(dice: Random, reference: Reference, fresh_id: FreshId) -> NewEvent:
    business_id, generated = business(dice, reference), chance(dice, 0.6)
    return event(
        fresh_id() if generated else dice.choice(EVENT_IDS),
        *_targets(dice, reference, business_id),
        business_id=business_id,
        generated=generated,
        event_type=dice.choice(EVENT_TYPES),
        data=dice.choice(PAYLOADS),
    )


def _targets(dice: Random, reference: Reference, business_id: int) -> list[Target]:
    """Most of the business' integrations. Held ones get nothing directly."""
    return [
        direct(lane) if chance(dice, 0.5) and not reference.is_held(lane) else queued(lane)
        for lane in reference.lanes(business_id)
        if chance(dice, 0.7)
    ]


def result_of(dice: Random, leased: Leased, now: int) -> AttemptResult:
    return dice.choice(ENDINGS)(leased, now + dice.choice([0, 3, 700, 90_000]))


def finished_test(dice: Random, reference: Reference, event_id: str, now: int) -> AttemptResult:
    """A test send, to an integration that is held too."""
    business_id, lane = integration(dice, reference)
    message = Message(
        event_id=event_id, event_type=EVENT_TYPES[0], business_id=business_id, timestamp=NOON, data=b"{}"
    )
    leased = Leased(
        delivery_id=0, integration_id=lane, message=message, attempts=0, tries=0, due_at=now, created_at=now
    )
    return dice.choice([delivered, _cancelled])(leased, now)


def business(dice: Random, reference: Reference) -> int:
    return dice.choice([row for row, one in reference.businesses.items() if not one.deleted])


def integration(dice: Random, reference: Reference) -> tuple[int, int]:
    """One that is not deleted: business and integration. A business has always one."""
    there = [(one.business_id, lane) for lane, one in reference.integrations.items() if not one.deleted]
    return dice.choice(sorted(there))


def delivery(dice: Random, reference: Reference, states: Collection[DeliveryState]) -> int:
    """Mostly one in these states, each of which is as likely, and no test."""
    by_state: dict[str, list[int]] = {}
    for row, one in sorted(reference.deliveries.items()):
        if one.state in states and not one.test:
            by_state.setdefault(one.state, []).append(row)
    if by_state and chance(dice, 0.8):
        return dice.choice(by_state[dice.choice(sorted(by_state))])
    return dice.choice(sorted(reference.deliveries))


def quotas(dice: Random, lanes: Collection[int]) -> dict[int, int]:
    return {lane: dice.randint(1, 4) for lane in sorted(lanes) if chance(dice, 0.7)}


def some(dice: Random, rows: Collection[int]) -> list[int]:
    return [row for row in sorted(rows) if chance(dice, 0.4)]


def chance(dice: Random, probability: float) -> bool:
    return dice.random() < probability
