"""What a receiver gets: the bytes, the headers and the signatures, as they came over real HTTP."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ringback.signing import standard_secret
from tests.engine.node import USER_AGENT, WholeNode, a_node
from tests.zoo import Zoo
from tests.zoo.wire import Received

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OWN_SECRET = "correct horse — Batterie"


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


@pytest.fixture
async def node(tmp_path: Path, zoo: Zoo) -> AsyncIterator[WholeNode]:
    async with a_node(tmp_path / "ringback.db", ca_file=zoo.ca_file) as node:
        yield node


async def received(zoo: Zoo, count: int, path: str) -> list[Received]:
    return await asyncio.to_thread(zoo.wait_for, count, path)


def own_headers(request: Received) -> dict[str, str]:
    """Without what belongs to the connection."""
    of_http = ("host", "accept", "content-length")
    return {name: value for name, value in request.headers.items() if name not in of_http}


def check_signatures(request: Received, secret: str) -> None:
    """With the published library, and by hand as Iqra's users do."""
    Webhook(standard_secret(secret)).verify(request.body, dict(request.headers))
    by_hand = hmac.new(secret.encode(), request.body, sha256).hexdigest()
    assert request.headers["x-iqra-signature"] == by_hand


@pytest.mark.parametrize("secret", [SECRET, OWN_SECRET])
async def test_both_signatures_verify_as_received(node: WholeNode, zoo: Zoo, secret: str) -> None:
    path = f"ok?X-Signed={len(secret)}"
    to = await node.integration(zoo.url(path), secret=secret)

    await node.publish(to, data=b'{"QueueId":"queue_1"}')
    (request,) = await received(zoo, 1, path)

    check_signatures(request, secret)
    with pytest.raises(WebhookVerificationError):
        Webhook(standard_secret(secret)).verify(request.body + b" ", dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(standard_secret("another secret")).verify(request.body, dict(request.headers))


async def test_during_a_rotation_both_secrets_verify(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok?X-Rotated=1"), secret=OWN_SECRET)
    await node.rotated(to, SECRET)

    await node.publish(to)
    (request,) = await received(zoo, 1, "ok?X-Rotated=1")

    Webhook(SECRET).verify(request.body, dict(request.headers))
    check_signatures(request, OWN_SECRET)
    assert request.headers["webhook-signature"].count("v1,") == 2


async def test_the_headers_are_the_promised_ones_and_no_others(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok?X-Case=headers"), secret=SECRET)

    await node.publish(to, "evt_headers")
    (request,) = await received(zoo, 1, "ok?X-Case=headers")

    (result,) = await node.watch.recorded(1)
    timestamp = request.headers["webhook-timestamp"]
    assert request.method == "POST"
    assert own_headers(request) == {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": "evt_headers",
        "webhook-timestamp": timestamp,
        "webhook-attempt": "1",
        "webhook-signature": request.headers["webhook-signature"],
        "x-iqra-signature": request.headers["x-iqra-signature"],
    }
    assert int(timestamp) == result.outcome.started_at // 1000


async def test_without_a_secret_nothing_is_signed(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok?X-Case=unsigned"))

    await node.publish(to)
    (request,) = await received(zoo, 1, "ok?X-Case=unsigned")

    assert not {"webhook-signature", "x-iqra-signature"} & request.headers.keys()


async def test_custom_headers_are_sent_as_they_were_given(node: WholeNode, zoo: Zoo) -> None:
    custom = {"X-Team": "voice, night shift", "Authorization": "Bearer abc==", "X-Empty": ""}
    to = await node.integration(zoo.url("ok?X-Case=custom"), headers=custom)

    await node.publish(to)
    (request,) = await received(zoo, 1, "ok?X-Case=custom")

    assert {name: request.headers[name.lower()] for name in custom} == custom
    (result,) = await node.watch.recorded(1)
    (attempt,) = (await node.logged(result)).attempts
    assert attempt.header_names == tuple(custom)


DATA = [
    b"{}",
    b'{"a":1,"a":2,"a":{"a":null}}',
    b'{"big":123456789012345678901234567890.12345678901234567890e+400,"tiny":-0.0}',
    rb'{"escapes":"\u00e9\/\ud83d\ude00\t\u0000","plain":"' + "é😀".encode() + b'"}',
    b'{ "spaces" :\t[ 1 ,\r\n 2 ]\n}',
    b'{"quote":"\\"","":"","EventType":"call.failed","EventId":"evt_other"}',
]


async def test_data_arrives_byte_for_byte_within_its_envelope(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok?X-Case=data"), max_concurrency=1)

    for number, data in enumerate(DATA):
        await node.publish(to, f"evt_{number}", data=data, timestamp=1_795_694_400_007)
    requests = await received(zoo, len(DATA), "ok?X-Case=data")

    assert [request.body for request in requests] == [
        b'{"EventType":"call.completed","EventId":"evt_%d","Timestamp":"2026-11-26T12:00:00.007Z",'
        b'"BusinessId":%d,"Data":%b}' % (number, to.business_id, data)
        for number, data in enumerate(DATA)
    ]


async def test_retries_and_replays_carry_the_same_bytes_and_fresh_signatures(
    node: WholeNode, zoo: Zoo
) -> None:
    url = zoo.script("twice-bad", 500, 503, 200)
    to = await node.integration(url, secret=OWN_SECRET, retry_schedule=(1, 1))

    await node.publish(to, "evt_retried", data=b'{ "a": 1, "a": 2 }')
    results = await node.watch.recorded(3)
    await node.retry_by_hand((await node.logged(results[0])).row)
    await node.watch.recorded(4)
    requests = zoo.received_at("script/twice-bad")

    assert len({request.body for request in requests}) == 1
    assert {request.headers["webhook-id"] for request in requests} == {"evt_retried"}
    assert [request.headers["webhook-attempt"] for request in requests] == ["1", "2", "3", "4"]
    assert [request.headers.get("webhook-replay") for request in requests] == [None, None, None, "true"]
    for request in requests:
        check_signatures(request, OWN_SECRET)
    times = [int(request.headers["webhook-timestamp"]) for request in requests]
    assert times == [result.outcome.started_at // 1000 for result in node.watch.results]
