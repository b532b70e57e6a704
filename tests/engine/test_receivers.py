"""The engine against real receivers: what they got, what was recorded of it, what happens next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ringback.failures import FailureClass
from ringback.model import AttemptResult, DeliveryState, Integration, IntegrationState, Profile
from tests.engine.node import Logged, WholeNode, a_node
from tests.zoo import Zoo

KEPT = 16 * 1024
MINUTE, DAY = 60_000, 86_400_000
STANDARD = Profile.STANDARD
_C = FailureClass


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


@pytest.fixture
async def node(tmp_path: Path, zoo: Zoo) -> AsyncIterator[WholeNode]:
    async with a_node(tmp_path / "ringback.db", ca_file=zoo.ca_file) as node:
        yield node


async def attempted(node: WholeNode, to: Integration) -> tuple[AttemptResult, Logged]:
    """One published event's first attempt, as decided and as stored."""
    await node.publish(to)
    (result,) = await node.watch.recorded(1)
    return result, await node.logged(result)


# ---------------------------------------------------------------- every kind of answer


@dataclass(frozen=True)
class Case:
    """What a receiver does, and what must be on record then. `wait` is until the next attempt."""

    path: str
    failure: FailureClass | None
    status: int | None
    wait: int = MINUTE
    body: bytes = b""
    truncated: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    profile: Profile = Profile.IQRA

    def __str__(self) -> str:
        return f"{self.profile} {self.path}"


ANSWERS = [
    Case("ok", None, 200, body=b"ok", headers={"Content-Type": "text/plain"}),
    Case("status/200?X-Trace=abc", None, 200, headers={"X-Trace": "abc", "Content-Length": "0"}),
    Case("status/204", _C.SUCCESS_NOT_200, 204),
    Case("status/204", None, 204, profile=STANDARD),
    Case("status/301?Location=/ok", _C.REDIRECT_REFUSED, 301, headers={"Location": "/ok"}),
    Case("status/410", _C.GONE_410, 410),
    Case("status/404", _C.NOT_FOUND_404, 404),
    Case("status/429", _C.RATE_LIMITED_429, 429),
    Case("status/429?Retry-After=120", _C.RATE_LIMITED_429, 429, 2 * MINUTE, headers={"Retry-After": "120"}),
    Case("status/429?Retry-After=soon", _C.RATE_LIMITED_429, 429),
    Case("status/503?Retry-After=5", _C.UNAVAILABLE_503, 503),
    Case("status/503?Retry-After=600", _C.UNAVAILABLE_503, 503, 10 * MINUTE),
    Case("status/503?Retry-After=99999999", _C.UNAVAILABLE_503, 503, DAY),
    Case("status/500", _C.SERVER_500, 500, 5_000, profile=STANDARD),
    Case("status/500?Retry-After=600", _C.SERVER_500, 500),
    Case(f"body/{KEPT}", None, 200, body=b"b" * KEPT),
    Case(f"body/{KEPT + 1}", None, 200, body=b"b" * KEPT, truncated=True),
    Case("flood", None, 200, body=b"x" * KEPT, truncated=True),
    Case("flood-chunked", None, 200, body=b"x" * KEPT, truncated=True),
    Case("half", _C.RESPONSE_TRUNCATED, 200, body=b"x" * 50),
    Case("half-chunk", _C.RESPONSE_TRUNCATED, 200, body=b"x" * 50),
    Case("half-headers", _C.RESPONSE_TRUNCATED, None),
    Case("reset", _C.CONNECTION_RESET, None),
    Case("hang-up", _C.CONNECTION_RESET, None),
    Case("garbage", _C.RESPONSE_TRUNCATED, None),
    Case("huge-headers", _C.TOO_LARGE, None),
]


@pytest.mark.parametrize("case", ANSWERS, ids=str)
async def test_an_answer_is_recorded_and_decides_what_is_next(node: WholeNode, zoo: Zoo, case: Case) -> None:
    to = await node.integration(zoo.url(case.path), profile=case.profile)

    result, (row, (attempt,)) = await attempted(node, to)

    assert (attempt.number, attempt.failure) == (1, case.failure)
    assert attempt.remote_address == f"127.0.0.1:{zoo.port}"
    assert attempt.response_body == case.body
    assert attempt.truncated is case.truncated
    assert case.headers.items() <= dict(attempt.response_headers).items()
    assert (attempt.detail is None) is (result.outcome.transport is None)
    if case.failure is not _C.TOO_LARGE:
        assert attempt.status == case.status
    check_timings(attempt.timings, result)
    check_next(row, case, result.outcome.ended_at)


def check_timings(timings: Any, result: AttemptResult) -> None:
    """An address has no look-up and plain http no handshake."""
    assert (timings.dns_ms, timings.tls_ms) == (None, None)
    assert 0 < timings.connect_ms <= timings.total_ms
    answered = bool(result.outcome.status)
    assert not answered or 0 <= timings.first_byte_ms <= timings.total_ms


def check_next(row: Any, case: Case, ended_at: int) -> None:
    assert (row.attempts, row.tries, row.last_failure) == (1, 1, case.failure)
    if case.failure is None:
        assert (row.state, row.due_at, row.finished_at) == (DeliveryState.DELIVERED, None, ended_at)
    else:
        assert (row.state, row.due_at, row.finished_at) == (
            DeliveryState.RETRYING,
            ended_at + case.wait,
            None,
        )


def http_date(seconds: int) -> str:
    return quote(format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True))


async def test_a_date_to_retry_after_is_kept_to_the_second(node: WholeNode, zoo: Zoo) -> None:
    moment = node.store.now() // 1000 + 3_600
    to = await node.integration(zoo.url(f"status/503?Retry-After={http_date(moment)}"))

    _, (row, _) = await attempted(node, to)

    assert row.due_at == moment * 1000


async def test_a_date_beyond_a_day_is_a_day(node: WholeNode, zoo: Zoo) -> None:
    moment = node.store.now() // 1000 + 3 * 86_400
    to = await node.integration(zoo.url(f"status/429?Retry-After={http_date(moment)}"))

    result, (row, _) = await attempted(node, to)

    assert row.due_at == result.outcome.ended_at + DAY


NO_ANSWERS = [
    ("closed", _C.CONNECT_REFUSED),
    ("resetting", _C.CONNECTION_RESET),
    ("expired", _C.TLS_EXPIRED),
    ("untrusted", _C.TLS_UNTRUSTED),
    ("wrong-name", _C.TLS_NAME_MISMATCH),
    ("plain", _C.TLS_PROTOCOL),
]


@pytest.mark.parametrize(("kind", "failure"), NO_ANSWERS)
async def test_where_there_is_no_answer_the_evidence_says_why(
    node: WholeNode, zoo: Zoo, kind: str, failure: FailureClass
) -> None:
    to = await node.integration(url_of(zoo, kind))

    result, (row, (attempt,)) = await attempted(node, to)

    assert (attempt.failure, attempt.status, attempt.response_body) == (failure, None, b"")
    assert attempt.detail
    assert (row.state, row.due_at) == (DeliveryState.RETRYING, result.outcome.ended_at + MINUTE)


def url_of(zoo: Zoo, kind: str) -> str:
    plain = {"closed": zoo.closed_url, "resetting": zoo.resetting_url}
    return plain[kind]() if kind in plain else zoo.tls_url(kind)


async def test_good_tls_is_sent_through_and_timed(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.tls_url("good"))

    _, (row, (attempt,)) = await attempted(node, to)

    assert (row.state, attempt.status) == (DeliveryState.DELIVERED, 200)
    assert attempt.timings.tls_ms is not None
    assert attempt.timings.connect_ms is not None
    assert attempt.timings.connect_ms + attempt.timings.tls_ms <= attempt.timings.total_ms


SLOW = [
    ("never", _C.RESPONSE_TIMEOUT, None),
    ("gate/late", _C.RESPONSE_TIMEOUT, None),
    ("drip", _C.RESPONSE_TIMEOUT, 200),
    ("drip-headers", _C.RESPONSE_TIMEOUT, None),
]


async def test_one_limit_covers_the_whole_attempt_whatever_takes_its_time(node: WholeNode, zoo: Zoo) -> None:
    made = [await node.integration(zoo.url(path), timeout_seconds=1) for path, _, _ in SLOW]
    silent = await node.integration(zoo.tls_url("silent"), timeout_seconds=1)
    full = await node.integration(zoo.full_url(), timeout_seconds=1)
    expected = {
        one.integration_id: (failure, status) for one, (_, failure, status) in zip(made, SLOW, strict=True)
    }
    expected[silent.integration_id] = (_C.RESPONSE_TIMEOUT, None)
    expected[full.integration_id] = (_C.CONNECT_TIMEOUT, None)

    await asyncio.gather(*(node.publish(one) for one in (*made, silent, full)))
    results = await node.watch.recorded(len(expected))

    assert {
        result.leased.integration_id: (result.failure, result.outcome.status) for result in results
    } == expected
    for result in results:
        row, (attempt,) = await node.logged(result)
        assert row.state == DeliveryState.RETRYING
        assert attempt.timings.total_ms >= 1_000


async def test_an_answer_after_the_limit_changes_nothing(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("gate/too-late"), timeout_seconds=1)
    after = await node.integration(zoo.url("ok"))

    result, (before, _) = await attempted(node, to)
    zoo.open_gate("too-late")
    await node.publish(after)
    await node.watch.recorded(2)

    assert result.failure is _C.RESPONSE_TIMEOUT
    assert (await node.logged(result)).row == before
    assert node.at_rest


# ---------------------------------------------------------------- 410 Gone


async def test_gone_disables_a_standard_integration_and_holds_what_waits(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("status/410?X-For=gone"), profile=STANDARD)

    await attempted(node, to)
    await node.watch.until(lambda: to.integration_id not in node.live.current.open)
    await node.publish(to, "evt_meanwhile")

    stored = await node.store.get_integration(to.business_id, to.integration_id)
    assert (stored.state, stored.state_reason) == (
        IntegrationState.DISABLED,
        "the endpoint answered 410 Gone",
    )
    rows = await node.deliveries(to.business_id)
    assert [row.state for row in rows] == ["held", "held"]
    assert len(zoo.received_at("status/410?X-For=gone")) == 1


async def test_what_gone_held_is_delivered_once_the_integration_is_enabled(node: WholeNode, zoo: Zoo) -> None:
    url = zoo.script("moved-back", 410, 200)
    to = await node.integration(url, profile=STANDARD, retry_schedule=(1,))
    await attempted(node, to)
    await node.watch.until(lambda: to.integration_id not in node.live.current.open)

    disabled = await node.store.get_integration(to.business_id, to.integration_id)
    await node.set_state(disabled, IntegrationState.ACTIVE)
    await node.watch.recorded(2)

    assert [row.state for row in await node.deliveries(to.business_id)] == [DeliveryState.DELIVERED]


# ---------------------------------------------------------------- the attempts after the first


async def test_a_retry_waits_out_its_delay_from_the_end_of_the_attempt_before(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.script("all-bad", 500), retry_schedule=(1, 1))

    await node.publish(to)
    results = await node.watch.recorded(3)

    for before, after in pairwise(results):
        assert after.outcome.started_at >= before.outcome.ended_at + 1_000
    row, attempts = await node.logged(results[0])
    assert (row.state, row.due_at, row.attempts) == (DeliveryState.DEAD, None, 3)
    assert [attempt.number for attempt in attempts] == [1, 2, 3]


async def test_a_manual_retry_of_a_dead_delivery_is_one_attempt_and_the_last(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.script("dead", 500), retry_schedule=())
    result, (row, _) = await attempted(node, to)
    assert row.state == DeliveryState.DEAD

    await node.retry_by_hand(row)
    await node.watch.recorded(2)

    row, attempts = await node.logged(result)
    assert (row.state, row.replay) == (DeliveryState.DEAD, True)
    assert [attempt.replay for attempt in attempts] == [False, True]
