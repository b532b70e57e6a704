"""Which integrations want an event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.match import EMPTY, BusinessView, Snapshot, Standing, WhyNot, wants, why_not
from ringback.model import (
    Business,
    Integration,
    IntegrationSettings,
    IntegrationState,
    PayloadValidation,
)

names = st.from_regex(r"\A[a-z]{1,5}(\.[a-z]{1,5}){0,3}\Z")


def integration(
    integration_id: int, *events: str, state: str = "active", business_id: int = 1
) -> Integration:
    return Integration(
        integration_id=integration_id,
        business_id=business_id,
        type="webhook",
        friendly_name="one",
        url="https://example.com/",
        events=events,
        settings=IntegrationSettings(),
        sealed_headers=None,
        secrets=(),
        state=IntegrationState(state),
        state_reason=None,
        state_since=0,
        created_at=0,
        updated_at=0,
        version=1,
    )


def business(business_id: int = 1, *, enabled: bool = True) -> Business:
    return Business(
        business_id=business_id,
        name="Acme",
        external_id=None,
        enabled=enabled,
        payload_validation=PayloadValidation.WARN,
        created_at=0,
    )


@pytest.mark.parametrize(
    ("pattern", "event_type", "wanted"),
    [
        ("call.completed", "call.completed", True),
        ("call.completed", "call.completed.late", False),
        ("call.completed", "call.complete", False),
        ("call.*", "call.completed", True),
        ("call.*", "call.leg.completed", True),
        ("call.*", "call", False),
        ("call.*", "callback.made", False),
        ("call.leg.*", "call.leg.completed", True),
        ("call.leg.*", "call.completed", False),
        ("*", "anything.at.all", True),
        ("call", "call.completed", False),
    ],
)
def test_patterns(pattern: str, event_type: str, wanted: bool) -> None:
    assert wants([pattern], event_type) is wanted


def test_one_of_several_patterns_is_enough() -> None:
    assert wants(["agent.joined", "call.*"], "call.failed")
    assert not wants([], "call.failed")


@given(names, names)
def test_a_group_takes_in_all_below_it_and_nothing_else(group: str, event_type: str) -> None:
    assert wants([f"{group}.*"], f"{group}.{event_type}")
    assert wants([f"{group}.*"], event_type) == event_type.startswith(f"{group}.")


def test_an_event_goes_to_all_that_want_it_held_ones_too() -> None:
    every = integration(1, "*")
    paused = integration(2, "call.*", state="paused")
    other = integration(3, "agent.joined")
    view = BusinessView(business(), (every, paused, other))

    assert view.match("call.completed") == (every, paused)
    assert view.match("agent.joined") == (every, other)
    assert view.match("call.completed") == (every, paused)


def test_a_snapshot_knows_every_integration_and_which_may_be_sent_to() -> None:
    active, paused, disabled = (
        integration(1, "*"),
        integration(2, "*", state="paused"),
        integration(3, "*", state="disabled"),
    )
    closed = integration(4, "*", business_id=2)
    snapshot = Snapshot(
        7,
        {
            1: BusinessView(business(), (active, paused, disabled)),
            2: BusinessView(business(2, enabled=False), (closed,)),
        },
        {},
    )

    assert set(snapshot.integrations) == {1, 2, 3, 4}
    assert snapshot.open == {1: active}


def test_the_empty_snapshot_has_nothing() -> None:
    assert (EMPTY.version, EMPTY.integrations, EMPTY.keys) == (0, {}, {})


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (None, WhyNot.CREATED_LATER),
        (Standing(events=("*",), deleted=True), WhyNot.DELETED),
        (Standing(events=("agent.*",), deleted=False), WhyNot.NOT_SUBSCRIBED),
        (Standing(events=("agent.*", "call.*"), deleted=False), None),
    ],
    ids=["none yet", "deleted", "another group", "subscribed"],
)
def test_why_an_integration_got_nothing_is_what_it_was_then(
    then: Standing | None, reason: WhyNot | None
) -> None:
    assert why_not(then, "call.failed", test=False) is reason
    assert why_not(then, "call.failed", test=True) is WhyNot.TEST_ONLY
