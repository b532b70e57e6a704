"""Each way an attempt can fail on the way, made by a real receiver, is exactly one class."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from ringback.failures import FailureClass
from ringback.model import Outcome
from ringback.send import Request, Sender
from tests.send.conftest import JSON, Client
from tests.send.dns import SERVER_FAILURE, NameServer
from tests.zoo import Zoo

C = FailureClass
SHORT_MS = 400

FAILING: dict[str, tuple[Callable[[Zoo], str], FailureClass, str]] = {
    "closed port": (Zoo.closed_url, C.CONNECT_REFUSED, "Connection refused"),
    "reset before the request": (Zoo.resetting_url, C.CONNECTION_RESET, "Connection reset by peer"),
    "reset after it": (lambda zoo: zoo.url("reset"), C.CONNECTION_RESET, "Connection reset by peer"),
    "closed without an answer": (
        lambda zoo: zoo.url("hang-up"),
        C.CONNECTION_RESET,
        "closed by the receiver",
    ),
    "half a body": (lambda zoo: zoo.url("half"), C.RESPONSE_TRUNCATED, "after 50 bytes"),
    "half a chunk": (lambda zoo: zoo.url("half-chunk"), C.RESPONSE_TRUNCATED, "after 50 bytes"),
    "reset in the body": (lambda zoo: zoo.url("reset-half"), C.RESPONSE_TRUNCATED, "after 50 bytes"),
    "half the headers": (lambda zoo: zoo.url("half-headers"), C.RESPONSE_TRUNCATED, "within its headers"),
    "not HTTP": (lambda zoo: zoo.url("garbage"), C.RESPONSE_TRUNCATED, "not an HTTP answer"),
    "expired": (lambda zoo: zoo.tls_url("expired"), C.TLS_EXPIRED, "expired on 3 May 2020 ("),
    "untrusted": (lambda zoo: zoo.tls_url("untrusted"), C.TLS_UNTRUSTED, "issued by “trustme"),
    "wrong name": (lambda zoo: zoo.tls_url("wrong-name"), C.TLS_NAME_MISMATCH, "is for elsewhere.test, not"),
    "no TLS there": (lambda zoo: zoo.tls_url("plain"), C.TLS_PROTOCOL, "wrong version number"),
}
SLOW: dict[str, tuple[Callable[[Zoo], str], FailureClass, str]] = {
    "no connection": (Zoo.full_url, C.CONNECT_TIMEOUT, "no connection to 127.0.0.1:"),
    "no handshake": (lambda zoo: zoo.tls_url("silent"), C.RESPONSE_TIMEOUT, "TLS not agreed on"),
    "no answer": (lambda zoo: zoo.url("never"), C.RESPONSE_TIMEOUT, "no byte received"),
    "dripping headers": (lambda zoo: zoo.url("drip-headers"), C.RESPONSE_TIMEOUT, "not yet complete"),
    "dripping body": (lambda zoo: zoo.url("drip"), C.RESPONSE_TIMEOUT, "bytes of the body received"),
}


@pytest.mark.parametrize(("where", "failure", "evidence"), FAILING.values(), ids=FAILING)
async def test_failing_receivers(
    client: Client, zoo: Zoo, where: Callable[[Zoo], str], failure: FailureClass, evidence: str
) -> None:
    outcome = await client.post(where(zoo))

    assert outcome.transport is failure
    assert evidence in (outcome.detail or "")


@pytest.mark.parametrize(("where", "failure", "evidence"), SLOW.values(), ids=SLOW)
async def test_one_deadline_over_everything(
    client: Client, zoo: Zoo, where: Callable[[Zoo], str], failure: FailureClass, evidence: str
) -> None:
    outcome = await client.post(where(zoo), timeout_ms=SHORT_MS)

    assert outcome.transport is failure
    assert "within 0.4 s" in (outcome.detail or "")
    assert evidence in (outcome.detail or "")
    assert outcome.timings.total_ms >= SHORT_MS


async def test_a_deadline_after_an_earlier_one_that_was_not_needed(client: Client, zoo: Zoo) -> None:
    await client.post(zoo.url(), timeout_ms=SHORT_MS)
    outcome = await client.post(zoo.url("never"), timeout_ms=2 * SHORT_MS)

    assert outcome.transport is C.RESPONSE_TIMEOUT


async def test_a_timeout_on_a_kept_connection_says_so(client: Client, zoo: Zoo) -> None:
    await client.post(zoo.url())
    outcome = await client.post(zoo.url("never"), timeout_ms=SHORT_MS)

    assert outcome.transport is C.RESPONSE_TIMEOUT
    assert outcome.detail == "no complete answer within 0.4 s: on a kept-alive connection, no byte received"


async def test_a_name_that_does_not_exist(client: Client, dns: NameServer) -> None:
    dns.refuse("gone.test")

    first = await client.post("http://gone.test/")
    again = await client.post("http://gone.test/")

    assert first.transport is again.transport is C.DNS_NOT_FOUND
    assert first.detail == "gone.test has no address in DNS"
    assert first.timings.dns_ms is not None
    assert again.timings.dns_ms is None


async def test_a_name_server_that_fails(client: Client, dns: NameServer) -> None:
    dns.refuse("broken.test", SERVER_FAILURE)

    outcome = await client.post("http://broken.test/")

    assert outcome.transport is C.DNS_TIMEOUT
    assert "broken.test could not be looked up" in (outcome.detail or "")


async def test_no_name_server_there() -> None:
    sender = Sender(nameservers=["127.0.0.1:9"])

    outcome = await Client(sender).post("https://any.test/")
    await sender.close()

    assert outcome.transport is C.DNS_TIMEOUT
    assert outcome.detail == "any.test could not be looked up: Could not contact DNS servers"


async def test_a_name_server_that_says_nothing(client: Client) -> None:
    outcome = await client.post("http://silent.test/", timeout_ms=SHORT_MS)

    assert outcome.transport is C.DNS_TIMEOUT
    assert outcome.detail == "no answer from DNS for silent.test within 0.4 s"


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "169.254.169.254", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"],
)
async def test_a_name_that_leads_to_a_private_address(
    strict_client: Client, dns: NameServer, zoo: Zoo, address: str
) -> None:
    dns.tell("inside.test", address)

    outcome = await strict_client.post(f"https://inside.test:{zoo.port}/ok")

    assert outcome.transport is C.BLOCKED_PRIVATE_ADDRESS
    assert outcome.detail == f"{address} is not a public address"
    assert zoo.received == []


async def test_a_private_literal_is_not_dialled_either(strict_client: Client, zoo: Zoo) -> None:
    outcome = await strict_client.post(zoo.tls_url())

    assert outcome.transport is C.BLOCKED_PRIVATE_ADDRESS


async def test_an_answer_that_changes_to_a_private_address(client: Client, dns: NameServer, zoo: Zoo) -> None:
    dns.tell("moving.test", "127.0.0.1", ttl=60)
    assert (await client.post(f"http://moving.test:{zoo.port}/ok")).status == 200

    dns.tell("other.test", "10.0.0.1", ttl=60)
    outcome = await client.post(f"http://other.test:{zoo.port}/ok")

    assert outcome.transport is C.BLOCKED_PRIVATE_ADDRESS


async def test_nothing_stays_of_the_attempt_before(client: Client, zoo: Zoo) -> None:
    first = await client.post(zoo.url("body/10"))
    second = await client.post(zoo.url("status/204"))
    third = await client.post(zoo.closed_url())

    assert (first.body, second.body, third.body) == (b"b" * 10, b"", b"")
    assert (third.status, third.headers) == (None, ())


async def test_only_the_public_ones_of_several_addresses_are_dialled(
    client: Client, dns: NameServer, zoo: Zoo
) -> None:
    dns.tell("mixed.test", "10.0.0.1", "127.0.0.1")

    outcome = await client.post(f"http://mixed.test:{zoo.port}/ok")

    assert (outcome.status, outcome.remote_address) == (200, f"127.0.0.1:{zoo.port}")


async def test_plain_http_is_for_development(strict_client: Client, zoo: Zoo) -> None:
    outcome = await strict_client.post(zoo.url())

    assert outcome.transport is C.SENDER_ERROR
    assert outcome.detail == "the request was not sent: must begin with https://"


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "b\r\nX-Injected: c"),
        ("X-A", "b\n"),
        ("X-A", "\rb"),
        ("X-A", "b\0c"),
        ("X-A\r\nX-Injected", "b"),
        ("X-A: b", "c"),
        ("X A", "b"),
        ("", "b"),
    ],
)
async def test_no_header_can_be_smuggled_in(client: Client, zoo: Zoo, header: tuple[str, str]) -> None:
    outcome = await client.post(zoo.url(), headers=[*JSON, header])

    assert outcome.transport is C.SENDER_ERROR
    assert zoo.received == []


async def test_outcomes_are_told_later_and_once(client: Client, zoo: Zoo) -> None:
    told: list[Outcome] = []
    bad = Request(url="ftp://x", headers=JSON, body=b"", timeout_ms=1000)

    client.sender.send(bad, told.append)

    assert (told, client.sender.in_flight) == ([], 1)
    await client.post(zoo.url())
    assert (len(told), client.sender.in_flight) == (1, 0)


async def test_a_failing_listener_harms_no_other(
    client: Client, zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    told = asyncio.Event()

    def fail(_outcome: Outcome) -> None:
        told.set()
        raise RuntimeError("listener")

    with caplog.at_level(logging.ERROR):
        client.sender.send(Request(url=zoo.url(), headers=JSON, body=b"", timeout_ms=10_000), fail)
        outcomes = await asyncio.gather(*(client.post(zoo.url()) for _ in range(5)))
        await told.wait()

    assert [one.status for one in outcomes] == [200] * 5
    assert client.sender.in_flight == 0
    assert "the receiver of an outcome failed" in caplog.text


async def test_closing_tells_every_attempt_under_way(client: Client, zoo: Zoo) -> None:
    waiting = [client.start(zoo.url("never")), client.start("http://silent.test/")]
    await asyncio.to_thread(zoo.wait_for, 1)

    await client.sender.close()
    late = client.start(zoo.url())

    outcomes = await asyncio.gather(*waiting, late)
    assert [one.transport for one in outcomes] == [C.SENDER_ERROR] * 3
    assert client.sender.in_flight == 0
