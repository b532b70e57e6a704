"""Every body format over real HTTP, read by the libraries that its receivers use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook

from ringback.model import BodyFormat, Integration, Message
from tests.engine.node import WholeNode, a_node
from tests.zoo import Zoo
from tests.zoo.wire import Received

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOON_MS, NOON = 1_795_694_400_007, "2026-11-26T12:00:00.007Z"
DATA = b'{ "a":1.0, "a":2, "big": 12345678901234567890, "text":"\\u00e9 \xc3\xa9" }'


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[WholeNode]:
    async with a_node(tmp_path / "ringback.db") as node:
        yield node


async def received(node: WholeNode, zoo: Zoo, name: BodyFormat, event_id: str) -> tuple[Received, int]:
    path = f"ok?X-Event={event_id}"
    to = await node.integration(zoo.url(path), secret=SECRET, format=name)
    await node.publish(to, event_id, data=DATA, timestamp=NOON_MS)
    (request,) = await asyncio.to_thread(zoo.wait_for, 1, path)
    Webhook(SECRET).verify(request.body, dict(request.headers))
    return request, to.business_id


async def test_standard_is_type_timestamp_and_data(node: WholeNode, zoo: Zoo) -> None:
    request, _ = await received(node, zoo, BodyFormat.STANDARD, "evt_standard")

    assert request.headers["content-type"] == "application/json"
    assert request.body == (b'{"type":"call.completed","timestamp":"%b","data":%b}' % (NOON.encode(), DATA))


async def test_a_cloudevent_is_one_to_the_published_library(node: WholeNode, zoo: Zoo) -> None:
    request, business_id = await received(node, zoo, BodyFormat.CLOUDEVENTS, "evt_cloud")

    event = from_http_event(HTTPMessage(dict(request.headers), request.body))

    assert request.headers["content-type"] == "application/cloudevents+json"
    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_type()) == ("evt_cloud", "call.completed")
    assert event.get_source() == f"/business/{business_id}"
    assert event.get_extension("businessid") == business_id
    time = event.get_time()
    assert time is not None
    assert time.isoformat(timespec="milliseconds").replace("+00:00", "Z") == NOON
    assert event.get_data() == json.loads(DATA)


async def test_data_passes_through_every_format_byte_for_byte(node: WholeNode, zoo: Zoo) -> None:
    request, _ = await received(node, zoo, BodyFormat.CLOUDEVENTS, "evt_bytes")

    assert request.body.endswith(b',"data":' + DATA + b"}")


async def test_attempts_and_replays_carry_the_same_bytes(node: WholeNode, zoo: Zoo) -> None:
    url = zoo.script("cloud-retried", 500, 200)
    to = await node.integration(url, secret=SECRET, format=BodyFormat.CLOUDEVENTS, retry_schedule=(1,))
    await node.publish(to, "evt_retried", data=DATA)
    results = await node.watch.recorded(2)

    await node.retry_by_hand((await node.logged(results[0])).row)
    await node.watch.recorded(3)

    requests = zoo.received_at("script/cloud-retried")
    assert len(requests) == 3
    assert len({request.body for request in requests}) == 1
    for request in requests:
        Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_one_event_goes_to_each_in_its_own_format(node: WholeNode, zoo: Zoo) -> None:
    """In an order in which no two that follow each other are alike."""
    first = await node.integration(zoo.url("ok?X-Of=0"))
    formats = [BodyFormat.IQRA, BodyFormat.STANDARD, BodyFormat.IQRA, BodyFormat.CLOUDEVENTS]
    for number, name in enumerate(formats, start=1):
        url = zoo.url(f"ok?X-Of={number}")
        await node.integration(url, business_id=first.business_id, format=name)

    await node.publish(first, "evt_all", data=b"{}")
    await node.watch.recorded(5)

    keys = [set(json.loads(zoo.received_at(f"ok?X-Of={number}")[0].body)) for number in range(5)]
    assert ["EventType" in one for one in keys] == [True, True, False, True, False]
    assert ["timestamp" in one for one in keys] == [False, False, True, False, False]
    assert ["specversion" in one for one in keys] == [False, False, False, False, True]


async def test_a_test_send_has_the_format_too(node: WholeNode, zoo: Zoo) -> None:
    to: Integration = await node.integration(zoo.url("ok?X-Test=1"), format=BodyFormat.STANDARD)
    message = Message(
        event_id="evt_test",
        event_type="call.completed",
        business_id=to.business_id,
        timestamp=NOON_MS,
        data=DATA,
    )

    await node.test_sends.attempt(to, message)

    (request,) = zoo.received_at("ok?X-Test=1")
    assert json.loads(request.body).keys() == {"type", "timestamp", "data"}
