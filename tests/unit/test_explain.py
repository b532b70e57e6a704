"""Explanations are pure: of a delivery, its attempts, its integration as it is now, and the time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.builders import NOON, integration, secret

from ringback.explain import Explanation, attempts_in_all, explain
from ringback.explain.explanation import MAX_TEXT, MAX_TITLE
from ringback.failures import FAILURES, FailureClass, classify
from ringback.model import (
    EXHAUSTED,
    Integration,
    IntegrationSettings,
    IntegrationState,
    Profile,
    SecretState,
    Timings,
)
from ringback.retry import policy_of
from ringback.store.port import AttemptRow, DeliveryRow

C = FailureClass
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
TO = integration(7, at=NOON - DAY, friendly_name="crm", url="https://hooks.acme.com/in")


def attempt(number: int = 1, **fields: Any) -> AttemptRow:
    values: dict[str, Any] = {
        "delivery_id": 1,
        "number": number,
        "started_at": NOON + number * MINUTE,
        "timings": Timings(connect_ms=38.0, tls_ms=61.0, total_ms=5_003.0),
        "status": None,
        "failure": None,
        "detail": None,
        "response_headers": (),
        "response_body": b"",
        "truncated": False,
        "remote_address": "203.0.113.7:443",
        "http_version": None,
        "signatures": 1,
        "header_names": (),
        "replay": False,
    }
    return AttemptRow(**{**values, **fields})


def answered(status: int, number: int = 1, *headers: tuple[str, str], **fields: Any) -> AttemptRow:
    failure = classify(None, status, {200})
    return attempt(number, status=status, failure=failure, response_headers=headers, **fields)


def delivery(state: str, *attempts: AttemptRow, **fields: Any) -> DeliveryRow:
    last = attempts[-1] if attempts else None
    values: dict[str, Any] = {
        "delivery_id": 1,
        "event_id": "evt_1",
        "event_type": "call.completed",
        "business_id": 7,
        "integration_id": TO.integration_id,
        "integration_name": "crm",
        "state": state,
        "attempts": len(attempts),
        "tries": len(attempts),
        "due_at": None,
        "last_status": last and last.status,
        "last_failure": last and last.failure,
        "test": False,
        "replay": False,
        "created_at": NOON,
        "finished_at": None,
    }
    return DeliveryRow(**{**values, **fields})


def told(
    state: str,
    *attempts: AttemptRow,
    to: Integration | None = TO,
    now: int = NOON + 10 * MINUTE,
    enabled: bool = True,
    **fields: Any,
) -> Explanation:
    return explain(delivery(state, *attempts, **fields), attempts, to, enabled, now)


# ---------------------------------------------------------------- evidence


def test_a_run_of_timeouts_in_numbers() -> None:
    run = [attempt(number, failure=C.RESPONSE_TIMEOUT) for number in (1, 2, 3)]

    found = told("retrying", *run, due_at=NOON + 22 * MINUTE)

    assert found.title == "Not delivered yet: no complete answer in time"
    assert found.evidence == "No answer within 5.0 s, 3 times (connect 38 ms, TLS 61 ms, first byte: none)"
    assert found.next == "Attempt 4 of 6 at 14:35:32 UTC (in 12 m), the last one at about 21:35 UTC"


def test_a_timeout_on_a_connection_that_was_open() -> None:
    one = attempt(failure=C.RESPONSE_TIMEOUT, timings=Timings(total_ms=5_001.0))

    assert "(on a connection that was open already, first byte: none)" in told("retrying", one).evidence


def test_the_host_is_not_named_where_the_url_may_have_been_another() -> None:
    refused = attempt(failure=C.CONNECT_TIMEOUT)
    changed = replace(TO, updated_at=refused.started_at + 1)

    assert told("dead", refused).evidence == "No connection to hooks.acme.com within 5.0 s (203.0.113.7:443)"
    assert (
        told("dead", refused, to=changed).evidence
        == "No connection to the receiver within 5.0 s (203.0.113.7:443)"
    )


def test_other_failures_are_counted_beside_the_last() -> None:
    run = [answered(503, 1), answered(500, 2), attempt(3, failure=C.RESPONSE_TIMEOUT), answered(500, 4)]

    evidence = told("dead", *run).evidence

    assert evidence.startswith("It answered 500, 2 times, the last time at 14:17:32 UTC")
    assert evidence.endswith("Other attempts: status 503 (once) and no complete answer in time (once)")


def test_attempts_past_retention_leave_what_the_delivery_knows() -> None:
    found = told("dead", attempts=6, last_failure=C.SERVER_500, last_status=500, tries=6, finished_at=NOON)

    assert found.failure is C.SERVER_500
    assert found.evidence == (
        "It was attempted 6 times; the last answer was 500. The records of the attempts are past retention"
    )


@pytest.mark.parametrize(
    ("codes", "words"), [((200,), "only 200"), ((200, 201, 202), "only 200, 201 and 202"), (None, "only 200")]
)
def test_the_statuses_that_count(codes: tuple[int, ...] | None, words: str) -> None:
    to = replace(TO, settings=IntegrationSettings(success_codes=codes))

    assert told("retrying", answered(204), to=to).evidence.endswith(f"this integration counts {words}")


@pytest.mark.parametrize(
    ("url", "target", "cause"),
    [
        ("http://acme.com/in", "https://acme.com/in", "only over https"),
        ("https://acme.com/in", "/in/", "needs a slash at its end"),
        ("https://acme.com/in/", "https://acme.com/in", "has a slash too many"),
        ("https://acme.com/in", "https://www.acme.com/in", "moved to another host name, www.acme.com"),
        ("https://acme.com/in", "https://acme.com/sign-in", "behind a sign-in"),
        ("https://acme.com/in", "https://[broken", "wants the request elsewhere"),
        ("https://acme.com/in", "/other", "wants the request elsewhere"),
    ],
)
def test_why_it_redirects(url: str, target: str, cause: str) -> None:
    found = told("retrying", answered(301, 1, ("location", target)), to=replace(TO, url=url))

    assert cause in (found.cause or "")
    assert f"a redirect to {target}" in found.evidence


@pytest.mark.parametrize(
    ("says", "cause"),
    [
        ("is not valid before 3 May 2999", "time has not come"),
        ("is self-signed", "Nobody vouches"),
        ("was issued by “Acme CA”: unable to get local issuer certificate", "intermediate certificates"),
    ],
)
def test_why_a_certificate_is_not_trusted(says: str, cause: str) -> None:
    refused = attempt(failure=C.TLS_UNTRUSTED, detail=f"the certificate of hooks.acme.com {says}")

    assert cause in (told("retrying", refused).cause or "")


def test_a_redirect_s_query_is_not_shown() -> None:
    found = told("retrying", answered(302, 1, ("Location", "https://acme.com/in?token=hush#x")))

    assert "hush" not in str(found)


def test_retry_after_says_nothing_of_a_next_attempt_where_there_is_none() -> None:
    found = told("dead", answered(429, 1, ("Retry-After", "7")), finished_at=NOON + MINUTE + 5_003)

    assert found.evidence.endswith("UTC with Retry-After 7")


def test_a_refusal_without_a_signature_says_so() -> None:
    found = told("retrying", answered(401, signatures=0))

    assert "the request carried none" in (found.cause or "")


# ---------------------------------------------------------------- rotation


def rotated(at: int, outgoing_until: int | None = None) -> Integration:
    new = replace(secret(2), created_at=at)
    old = replace(secret(1, SecretState.OUTGOING), created_at=TO.created_at, expires_at=outgoing_until)
    return replace(TO, secrets=(new,) if outgoing_until is None else (new, old))


REFUSED = answered(401)
AT = REFUSED.started_at


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (rotated(AT - 47 * HOUR), None),  # Older than the integration.
        (rotated(AT - 3 * HOUR), "changed 3 h before this attempt (11:14:32 UTC): likely the receiver still"),
        (rotated(AT - 3 * HOUR, AT), "likely the receiver still verifies with the old one"),
        (rotated(AT - 3 * HOUR, AT + HOUR), "and the old one is still in use beside it"),
        (rotated(AT + 1), None),
        (TO, None),
        (replace(TO, secrets=()), None),
    ],
)
def test_a_young_secret_is_the_likely_cause_of_a_refusal(to: Integration, words: str | None) -> None:
    cause = told("retrying", REFUSED, to=to).cause or ""

    assert ("secret was changed" in cause) is (words is not None)
    assert (words or "") in cause


def test_after_two_days_it_is_not() -> None:
    old = replace(rotated(AT - 49 * HOUR), created_at=AT - 90 * DAY)

    assert "secret was changed" not in (told("retrying", REFUSED, to=old).cause or "")
    young = replace(old, secrets=rotated(AT - 47 * HOUR).secrets)
    assert "secret was changed" in (told("retrying", REFUSED, to=young).cause or "")


# ---------------------------------------------------------------- what comes next


def test_the_next_attempt_and_the_last() -> None:
    found = told("retrying", *[answered(500, number) for number in range(1, 6)], due_at=NOON + DAY)

    assert found.next == "Attempt 6 of 6 on 22 September 2026 at 14:13:32 UTC (in 23 h 50 m), the last one"


def test_overdue_ones_have_a_turn_to_wait_for() -> None:
    found = told("retrying", answered(500), due_at=NOON + 2 * MINUTE)

    assert found.next.startswith("Attempt 2 of 6 as soon as its turn comes (due since 14:15:32 UTC)")


def test_manual_attempts_are_not_part_of_the_schedule() -> None:
    run = [answered(500, 1), answered(500, 2, replay=True)]
    waiting = delivery("retrying", *run, tries=1, due_at=NOON)
    asked_for = delivery("queued", *run, tries=EXHAUSTED, due_at=NOON, replay=True)

    assert attempts_in_all(waiting, policy_of(TO.settings)) == 2 + 5
    assert attempts_in_all(asked_for, policy_of(TO.settings)) == 6
    found = explain(asked_for, tuple(run), TO, True, NOON + 10 * MINUTE)
    assert found.title == "Waiting to be sent again"
    assert "one more attempt was asked for by hand. Before that: It answered 500" in found.evidence
    assert found.next == (
        "Attempt 3, asked for by hand, as soon as its turn comes (due since 14:13:32 UTC), the last one"
    )


def test_held_ones_say_when_they_were_due() -> None:
    paused = replace(TO, state=IntegrationState.PAUSED, state_since=NOON + MINUTE)

    later = told("held", answered(500), to=paused, due_at=NOON + HOUR)
    overdue = told("held", answered(500), to=paused, due_at=NOON + 2 * MINUTE)

    assert later.next == (
        "Nothing is sent while the integration is paused. Once it is resumed: attempt 2 of 6,"
        " not before 15:13:32 UTC"
    )
    assert overdue.next.endswith("attempt 2 of 6, at the integration's pace (it was due at 14:15:32 UTC)")
    assert later.evidence.startswith(
        "“crm” is paused since 14:14:32 UTC, 9 m ago. Before that: It answered 500"
    )


def test_a_held_one_that_was_asked_for_by_hand_says_so() -> None:
    paused = replace(TO, state=IntegrationState.PAUSED, state_since=NOON + MINUTE)
    fields: dict[str, Any] = {"tries": EXHAUSTED, "replay": True}

    overdue = told("held", answered(500), to=paused, due_at=NOON + 2 * MINUTE, **fields)
    undated = told("held", answered(500), to=paused, **fields)

    assert overdue.next.endswith(
        "attempt 2, asked for by hand, at the integration's pace (it was due at 14:15:32 UTC)"
    )
    assert undated.next.endswith("Once it is resumed: attempt 2, asked for by hand")


def test_given_up_while_held_is_not_the_receiver_s_fault() -> None:
    never = told("dead", finished_at=NOON + 30 * DAY, now=NOON + 31 * DAY)
    once = told("dead", answered(500), finished_at=NOON + 30 * DAY, now=NOON + 31 * DAY)

    assert never.title == once.title == "Not delivered: held for too long"
    assert (never.failure, once.failure) == (None, C.SERVER_500)
    assert "failed at" not in once.next


def test_our_own_words_of_a_snapshot_that_is_behind() -> None:
    """The row is held already, the configuration at hand does not know yet."""
    found = told("held", due_at=NOON)

    assert found.title == "Held: the integration is held"
    assert found.cause is not None


def test_cancelled_ones_say_by_whom() -> None:
    by_hand = told("cancelled", answered(500), finished_at=NOON + 2 * MINUTE)
    deleted = told("cancelled", answered(500), to=None)

    assert by_hand.evidence.startswith(
        "What was still to be sent was cancelled at 14:15:32 UTC. Before that: It"
    )
    assert (by_hand.cause, by_hand.failure) == (
        "Somebody asked for it: the audit log names who",
        C.SERVER_500,
    )
    assert deleted.cause == "Deleting an integration cancels what waits for it"


def test_what_went_to_a_deleted_integration_is_not_to_be_retried() -> None:
    delivered = told("delivered", answered(200), to=None)
    dead = told("dead", answered(500), to=None)

    never = "; its integration is deleted, so it cannot be sent again"
    assert delivered.next == f"Nothing: it is delivered{never}"
    assert dead.next.endswith(never)


def test_a_time_limit_that_was_changed_since_is_not_the_one_that_was_meant() -> None:
    late = attempt(failure=C.RESPONSE_TIMEOUT, timings=Timings(total_ms=5_090.0))
    shorter = replace(TO, settings=IntegrationSettings(timeout_seconds=2), updated_at=NOON + DAY)

    assert "No answer within 5.0 s" in told("dead", late).evidence
    assert "No answer within 5.1 s" in told("dead", late, to=shorter).evidence


# ---------------------------------------------------------------- the table


@pytest.mark.parametrize("failure", FailureClass)
def test_each_class_has_all_its_texts(failure: FailureClass) -> None:
    kind = FAILURES[failure]
    found = told("retrying", attempt(failure=failure, detail="a detail", status=None))

    assert kind.title
    assert kind.cause
    assert kind.fix
    assert not kind.evidence.startswith("{status}")
    assert not any(text.endswith((".", " ")) for text in (kind.title, kind.evidence, kind.cause, kind.fix))
    assert found.failure is failure
    assert "{" not in found.evidence
    assert found.title.lower() == f"not delivered yet: {kind.title}".lower()


# ---------------------------------------------------------------- anything at all

HEADER_NAMES = st.sampled_from(
    ["Location", "Retry-After", "Allow", "WWW-Authenticate", "Content-Type", "Server", "cf-ray", "X"]
)
MS = st.none() | st.floats(0, 1e7)
ATTEMPTS = st.builds(
    attempt,
    st.integers(1, 30),
    started_at=st.integers(NOON - DAY, NOON + DAY),
    timings=st.builds(
        Timings, dns_ms=MS, connect_ms=MS, tls_ms=MS, first_byte_ms=MS, total_ms=st.floats(0, 1e6)
    ),
    status=st.none() | st.integers(200, 999),
    failure=st.none() | st.sampled_from(FailureClass),
    detail=st.none() | st.text(max_size=2000),
    response_headers=st.lists(st.tuples(HEADER_NAMES, st.text(max_size=300)), max_size=6).map(tuple),
    response_body=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode(errors="replace")),
    remote_address=st.none() | st.just("[2001:db8::1]:443"),
    signatures=st.integers(0, 2),
    replay=st.booleans(),
)
INTEGRATIONS = st.none() | st.builds(
    lambda state, profile, schedule, codes, at: replace(
        TO,
        state=state,
        state_reason="why\x1b[0m",
        settings=IntegrationSettings(profile=profile, retry_schedule=schedule, success_codes=codes),
        secrets=rotated(at, at + HOUR).secrets,
    ),
    st.sampled_from(IntegrationState),
    st.sampled_from(Profile),
    st.none() | st.lists(st.integers(1, 604_800), max_size=20).map(tuple),
    st.none() | st.lists(st.integers(200, 599), max_size=50).map(tuple),
    st.integers(NOON - DAY, NOON + DAY),
)
STATES = st.sampled_from(["queued", "sending", "retrying", "held", "delivered", "dead", "cancelled"])
MOMENTS = st.none() | st.integers(NOON - DAY, NOON + 40 * DAY)


@settings(max_examples=400)
@given(
    state=STATES,
    attempts=st.lists(ATTEMPTS, max_size=4),
    to=INTEGRATIONS,
    enabled=st.booleans(),
    test=st.booleans(),
    tries=st.integers(0, 25) | st.just(EXHAUSTED),
    lost=st.integers(0, 3),
    due_at=MOMENTS,
    finished_at=MOMENTS,
    name=st.text(max_size=100),
    now=st.integers(NOON - DAY, NOON + 50 * DAY),
)
def test_whatever_came_back_it_is_explained_in_short_and_harmless_words(
    state: str,
    attempts: list[AttemptRow],
    to: Integration | None,
    enabled: bool,
    test: bool,
    tries: int,
    lost: int,
    due_at: int | None,
    finished_at: int | None,
    name: str,
    now: int,
) -> None:
    made = tuple(attempts)
    row = delivery(state, *made, test=test, tries=tries, due_at=due_at, finished_at=finished_at)
    row = replace(row, attempts=len(made) + lost, integration_name=name)

    found = explain(row, made, to, enabled, now)

    assert found.failure == (made[-1].failure if made else None)
    texts = [found.title, found.evidence, found.cause, found.fix, found.next]
    for text in texts:
        assert text is None or (text.isprintable() and 0 < len(text) <= MAX_TEXT)
    assert len(found.title) <= MAX_TITLE
    assert (found.cause is None) == (found.fix is None)
