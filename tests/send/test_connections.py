"""How requests travel: connections, protocols, timings, and nothing that was not asked for."""

from __future__ import annotations

import asyncio
import socket
from itertools import count

import pytest

from ringback.clock import wall_ms
from ringback.envelope import body_of, headers_of
from ringback.model import Message
from ringback.send import Request, Sender
from ringback.signing import SigningKey
from tests.send.conftest import JSON, Client
from tests.send.dns import NameServer
from tests.zoo import Zoo


async def test_the_request_arrives_as_written(client: Client, zoo: Zoo) -> None:
    headers = [*JSON, ("webhook-id", "evt_1"), ("X-Empty", ""), ("X-Blank", " "), ("X-Text", "é")]

    await client.post(zoo.url("ok"), headers=headers, body=b'{"a":"\xc3\xa9"}')

    (request,) = zoo.received
    assert (request.method, request.path, request.body) == ("POST", "/ok", b'{"a":"\xc3\xa9"}')
    assert dict(request.headers) == {
        "host": f"127.0.0.1:{zoo.port}",
        "accept": "*/*",
        "content-type": "application/json",
        "user-agent": "ringback/test",
        "webhook-id": "evt_1",
        "x-empty": "",
        "x-blank": "",
        "x-text": "é".encode().decode("latin-1"),
        "content-length": "10",
    }


async def test_a_large_body_goes_without_asking_first(client: Client, zoo: Zoo) -> None:
    body = b"x" * 3_000_000

    assert (await client.post(zoo.url(), body=body)).status == 200

    assert zoo.received[0].body == body
    assert "expect" not in zoo.received[0].headers


async def test_path_and_query_are_sent_as_given(client: Client, zoo: Zoo) -> None:
    await client.post(zoo.url("ok/../status/200?a=%2F&b=[x]"))

    assert zoo.received[0].path == "/ok/../status/200?a=%2F&b=[x]"


async def test_connections_are_kept_alive(client: Client, zoo: Zoo) -> None:
    outcomes = [await client.post(zoo.url()) for _ in range(5)]

    assert len({request.port for request in zoo.received}) == 1
    assert outcomes[0].timings.connect_ms is not None
    assert all(one.timings.connect_ms is None for one in outcomes[1:])


async def test_a_request_after_the_receiver_closed_takes_a_new_connection(client: Client, zoo: Zoo) -> None:
    for _ in range(3):
        assert (await client.post(zoo.url("last-answer"))).status == 200

    assert len({request.port for request in zoo.received}) == 3


async def test_many_at_once_all_come_back(client: Client, zoo: Zoo) -> None:
    paths = [f"{path}?n={number}" for number in range(40) for path in ("ok", "reset", "half", "status/503")]

    outcomes = await asyncio.gather(*(client.post(zoo.url(path)) for path in paths))

    assert [one.status for one in outcomes] == [200, None, 200, 503] * 40
    assert client.sender.in_flight == 0


async def test_a_hung_receiver_holds_up_no_other(client: Client, zoo: Zoo) -> None:
    hung = [client.start(zoo.url("never")) for _ in range(20)]

    assert (await client.post(zoo.url())).status == 200
    assert not any(one.done() for one in hung)


async def test_sockets_of_others_on_the_loop_are_left_alone(client: Client, zoo: Zoo) -> None:
    """Descriptor numbers that libcurl has closed come back as somebody else's."""
    loop = asyncio.get_running_loop()
    for _ in range(30):
        await asyncio.gather(*(client.post(zoo.url(path)) for path in ("last-answer", "ok", "hang-up")))
        pairs = [socket.socketpair() for _ in range(3)]
        for ours, theirs in pairs:
            ours.setblocking(False)
            theirs.send(b"hello")
            assert await loop.sock_recv(ours, 5) == b"hello"
            reader, writer = await asyncio.open_connection(sock=ours)
            theirs.send(b"again")
            assert await reader.readexactly(5) == b"again"
            writer.close()
            theirs.close()


async def test_tls_is_verified_and_timed(client: Client, zoo: Zoo) -> None:
    first = await client.post(zoo.tls_url())
    second = await client.post(zoo.tls_url())

    assert (first.status, second.status) == (200, 200)
    assert first.timings.tls_ms is not None
    assert second.timings.tls_ms is None
    assert first.http_version == "1.1"


async def test_http2_is_spoken_where_it_is_offered(client: Client, zoo: Zoo) -> None:
    first = await client.post(zoo.tls_url("http2"))
    at_once = await asyncio.gather(*(client.post(zoo.tls_url("http2")) for _ in range(10)))

    assert [(one.status, one.http_version) for one in (first, *at_once)] == [(200, "2")] * 11
    assert all(one.timings.connect_ms is None for one in at_once)


async def test_the_system_s_authorities_do_not_vouch_for_the_zoo(zoo: Zoo) -> None:
    sender = Sender(allow_loopback=True)

    outcome = await Client(sender).post(zoo.tls_url())
    await sender.close()

    assert outcome.transport == "tls_untrusted"


async def test_no_proxy_is_taken_from_the_environment(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, zoo.closed_url())

    assert (await client.post(zoo.url())).status == 200
    assert (await client.post(zoo.tls_url())).status == 200


async def test_cookies_are_forgotten(client: Client, zoo: Zoo) -> None:
    await client.post(zoo.url("ok?Set-Cookie=a=b"))
    await client.post(zoo.url())

    assert "cookie" not in zoo.received[1].headers


async def test_phases_are_timed(client: Client, zoo: Zoo, dns: NameServer) -> None:
    dns.tell("hooks.test", "127.0.0.1")
    url = f"http://hooks.test:{zoo.port}/ok"

    first, second = await client.post(url), await client.post(url)

    phases = (first.timings.dns_ms, first.timings.connect_ms, first.timings.first_byte_ms)
    assert all(phase is not None and 0 <= phase <= first.timings.total_ms for phase in phases)
    assert (second.timings.dns_ms, second.timings.connect_ms) == (None, None)


async def test_start_and_end_are_read_from_the_clock_and_the_end_is_rounded_up(zoo: Zoo) -> None:
    sender = Sender(allow_loopback=True, clock=count(1_000).__next__)

    outcome = await Client(sender).post(zoo.url())
    await sender.close()

    assert (outcome.started_at, outcome.ended_at) == (1_000, 1_002)


@pytest.mark.parametrize("secret", ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
async def test_a_published_library_verifies_what_arrives(client: Client, secret: str) -> None:
    message = Message(
        event_id="evt_1", event_type="call.completed", business_id=7, timestamp=0, data=b'{"Text":"\xc3\xa9"}'
    )
    body = body_of(message)
    headers = headers_of(message, body, [SigningKey(secret)], 1, wall_ms(), "ringback/test")

    with Zoo(secret) as zoo:
        good = await client.post(zoo.url("verified"), headers=headers, body=body)
        bad = await client.post(zoo.url("verified"), headers=headers, body=body + b" ")

    assert (good.status, bad.status) == (200, 401)


async def test_an_outcome_may_start_the_next_attempt(client: Client, zoo: Zoo) -> None:
    finished: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    left = count(9, -1)

    def again(_outcome: object) -> None:
        if (number := next(left)) > 0:
            client.sender.send(request, again)
        else:
            finished.set_result(number)

    request = Request(url=zoo.url(), headers=JSON, body=b"", timeout_ms=10_000)
    client.sender.send(request, again)

    await finished
    assert len(zoo.received) == 10
