"""The sink verifies as a receiver must, tells repeats apart, and fails exactly as told."""

from __future__ import annotations

import hashlib
import hmac
import io
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from ringback.cli.sink import line_of
from ringback.errors import ConfigurationError
from ringback.sink import Behaviour, Sink

SECRET = "whsec_" + "c2VjcmV0LWZvci10aGUtc2luay1vZi10aGUtdGVzdHM="
NEW_SECRET = "whsec_" + "dGhlLW5ldy1zZWNyZXQtdGhhdC1zdWNjZWVkcy1pdA=="
BODY = b'{"EventType":"call.completed","EventId":"evt_1","Data":{}}'


def signed(
    event_id: str = "evt_1", body: bytes = BODY, *, attempt: int = 1, at: datetime | None = None
) -> dict[str, str]:
    """Headers as a sender makes them, by the published library and plain hmac."""
    at = at or datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-attempt": str(attempt),
        "webhook-signature": "v1,other= " + Webhook(SECRET).sign(event_id, at, body.decode()),
        "X-Iqra-Signature": hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
    }


async def post(sink: Sink, headers: dict[str, str] | None = None, body: bytes = BODY) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(sink.url, content=body, headers=signed() if headers is None else headers)


async def test_a_good_delivery_is_verified_and_remembered() -> None:
    async with Sink(secrets=[SECRET]) as sink:
        assert (await post(sink)).status_code == 200
        (one,) = await sink.wait_for(1)
    assert (one.event_id, one.event_type, one.attempt, one.times_seen) == ("evt_1", "call.completed", 1, 1)
    assert one.verified is True
    assert one.body == BODY
    assert one.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"webhook-signature": "v1,AAAA"}, "wrong webhook-signature"),
        ({"webhook-signature": ""}, "wrong webhook-signature"),
        ({"webhook-signature": "v1,é".encode().decode("latin-1")}, "wrong webhook-signature"),
        ({"webhook-id": "evt_2"}, "wrong webhook-signature"),
        ({"X-Iqra-Signature": "0" * 64}, "wrong X-Iqra-Signature"),
        ({"X-Iqra-Signature": ""}, "wrong X-Iqra-Signature"),
        ({"webhook-timestamp": ""}, "no webhook-timestamp"),
        ({"webhook-timestamp": "soon"}, "no webhook-timestamp"),
        ({"webhook-timestamp": "9" * 12}, "stale webhook-timestamp"),
        ({"webhook-timestamp": "9" * 5000}, "no webhook-timestamp"),
    ],
)
async def test_anything_else_is_answered_401(change: dict[str, str], problem: str) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in {**signed(), **change}.items()]
    async with Sink(secrets=[SECRET]) as sink, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(sink.url, content=BODY, headers=headers)).status_code == 401
    assert (sink.received[0].verified, sink.received[0].problem) == (False, problem)
    assert (sink.counts.bad_signatures, sink.counts.unique, sink.counts.answered_well) == (1, 0, 0)


async def test_another_time_than_the_signed_one_is_answered_401() -> None:
    headers = signed()
    headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 7)
    async with Sink(secrets=[SECRET]) as sink, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(sink.url, content=BODY, headers=headers)).status_code == 401
    assert sink.received[0].problem == "wrong webhook-signature"


async def test_a_changed_body_is_answered_401() -> None:
    async with Sink(secrets=[SECRET]) as sink:
        assert (await post(sink, body=BODY + b" ")).status_code == 401


@pytest.mark.parametrize(
    ("secrets", "status"),
    [([SECRET, NEW_SECRET], 200), ([NEW_SECRET, SECRET], 200), ([SECRET], 200), ([NEW_SECRET], 401)],
)
async def test_during_a_rotation_each_signature_fits_one_of_the_secrets(
    secrets: list[str], status: int
) -> None:
    headers = signed()
    new = Webhook(NEW_SECRET).sign("evt_1", datetime.now(UTC), BODY.decode())
    headers["webhook-signature"] = f"{new} {headers['webhook-signature']}"
    async with Sink(secrets=secrets) as sink:
        assert (await post(sink, headers)).status_code == status


async def test_with_two_secrets_either_may_sign_alone() -> None:
    async with Sink(secrets=[NEW_SECRET, SECRET]) as sink:
        assert (await post(sink)).status_code == 200


async def test_with_two_secrets_a_signature_of_neither_is_answered_401() -> None:
    async with Sink(secrets=[SECRET, NEW_SECRET]) as sink:
        assert (await post(sink, {**signed(), "X-Iqra-Signature": "0" * 64})).status_code == 401
        assert (await post(sink, {**signed(), "webhook-signature": "v1,AAAA"})).status_code == 401


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_old_and_future_deliveries_are_answered_401(minutes: int) -> None:
    async with Sink(secrets=[SECRET]) as sink:
        headers = signed(at=datetime.now(UTC) + timedelta(minutes=minutes))
        assert (await post(sink, headers)).status_code == 401
    assert sink.received[0].problem == "stale webhook-timestamp"


async def test_without_a_secret_nothing_is_checked() -> None:
    async with Sink() as sink:
        assert (await post(sink, {})).status_code == 200
    assert sink.received[0].verified is None


async def test_repeats_are_told_apart_by_event_id() -> None:
    async with Sink(secrets=[SECRET]) as sink:
        for event_id, attempt in (("evt_1", 1), ("evt_2", 1), ("evt_1", 2)):
            await post(sink, signed(event_id, attempt=attempt))
    assert [one.times_seen for one in sink.received] == [1, 1, 2]
    assert (sink.counts.received, sink.counts.unique, sink.counts.repeated) == (3, 2, 1)


async def test_a_forged_delivery_does_not_make_the_real_one_a_repeat() -> None:
    async with Sink(secrets=[SECRET]) as sink:
        await post(sink, {**signed("evt_1"), "X-Iqra-Signature": "0" * 64})
        await post(sink, signed("evt_1"))
    assert sink.received[1].times_seen == 1
    assert sink.counts.repeated == 0


async def test_it_fails_with_a_status_and_asks_for_time() -> None:
    async with Sink(Behaviour(status=503, retry_after=5)) as sink:
        response = await post(sink)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert sink.counts.failed_on_purpose == 1


async def test_it_fails_the_asked_share_and_the_same_ones_each_time() -> None:
    async def statuses(seed: int) -> list[int]:
        async with (
            Sink(Behaviour(status=503, fail_rate=30), seed=seed) as sink,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            return [(await client.post(sink.url, content=BODY)).status_code for _ in range(300)]

    first = await statuses(1)
    assert 60 < Counter(first)[503] < 120
    assert set(first) == {200, 503}
    assert await statuses(1) == first


async def test_it_fails_only_the_first_requests_of_each_event() -> None:
    async with Sink(Behaviour(status=500, first=2)) as sink:
        answers = [
            (await post(sink, {"webhook-id": event_id})).status_code
            for event_id in ("evt_a", "evt_b", "evt_a", "evt_a", "evt_b", "evt_b")
        ]
    assert answers == [500, 500, 500, 200, 500, 200]


async def test_it_cuts_the_connection() -> None:
    async with Sink(Behaviour(reset=True)) as sink:
        with pytest.raises(httpx.ReadError):
            await post(sink)
    assert sink.received[0].status is None


async def test_resets_and_statuses_take_turns() -> None:
    async with Sink(Behaviour(status=503, reset=True)) as sink:
        for _ in range(40):
            try:
                assert (await post(sink)).status_code == 503
            except httpx.ReadError:
                continue
    assert {one.status for one in sink.received} == {503, None}


async def test_it_answers_late() -> None:
    async with Sink(Behaviour(delay=30.0)) as sink, httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(sink.url, content=BODY, timeout=0.05)
        sink.behaviour = Behaviour(delay=0.001)
        assert (await client.post(sink.url, content=BODY)).status_code == 200
    assert sink.counts.failed_on_purpose == 2


async def test_behaviour_and_secret_may_change_on_the_way() -> None:
    async with Sink(Behaviour(status=500)) as sink:
        assert (await post(sink, {})).status_code == 500
        sink.behaviour = Behaviour()
        assert (await post(sink, {})).status_code == 200
        sink.secrets = [SECRET]
        assert (await post(sink, {})).status_code == 401
        assert (await post(sink)).status_code == 200


async def test_the_ledger_has_every_trusted_request_before_its_answer() -> None:
    ledger = io.StringIO()
    async with Sink(Behaviour(status=503, first=1), secrets=[SECRET], ledger=ledger) as sink:
        await post(sink, signed("evt_1"))
        assert ledger.getvalue() == "evt_1 1 503\n"
        await post(sink, signed("evt_1", attempt=2))
        await post(sink, {**signed("evt_3"), "webhook-id": "evt_forged"})
    assert ledger.getvalue() == "evt_1 1 503\nevt_1 2 200\n"


async def test_one_connection_serves_many_requests() -> None:
    connections = set()
    async with Sink() as sink, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(5):
            response = await client.post(sink.url, content=BODY)
            connections.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(connections) == 1
    assert sink.counts.received == 5


async def test_only_posts_are_deliveries() -> None:
    async with Sink() as sink, httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(sink.url)).status_code == 405
    assert sink.counts.received == 0


@pytest.mark.parametrize("body", [b"", b"no json", b"\xff", b"[" * 100_000, b'{"type":"call.failed"}'])
async def test_any_body_is_received(body: bytes) -> None:
    async with Sink() as sink:
        assert (await post(sink, {}, body)).status_code == 200
    assert sink.received[0].body == body
    assert sink.received[0].event_type == ("call.failed" if b"type" in body else "?")


async def test_a_taken_port_is_said() -> None:
    async with Sink() as sink:
        port = int(sink.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=str(port)):
            await Sink(port=port).start()


async def test_waiting_in_vain_ends() -> None:
    async with Sink() as sink:
        with pytest.raises(TimeoutError):
            await sink.wait_for(1, timeout=0.01)


async def test_a_line_says_what_which_how_often_and_how_it_went() -> None:
    async with Sink(Behaviour(status=503, first=1), secrets=[SECRET]) as sink:
        await post(sink, signed("evt_1"))
        await post(sink, signed("evt_1", attempt=2))
        await post(sink, {})
    lines = [line_of(one) for one in sink.received]
    assert all("call.completed" in line for line in lines)
    assert lines[0].endswith("evt_1 attempt 1 ✓ 503")
    assert lines[1].endswith("evt_1 attempt 2 ✓ 200 again (2)")
    assert lines[2].endswith("✗ 401 no webhook-timestamp")


async def test_a_stranger_cannot_steer_the_terminal() -> None:
    async with Sink() as sink:
        await post(sink, {}, b'{"EventType":"\\u001b[2J\\n"}')
    assert "\x1b" not in line_of(sink.received[0])
    assert "\n" not in line_of(sink.received[0])
