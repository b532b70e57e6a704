"""What fails on our own side ends the attempts that it touches as such, and none after them."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pycurl  # type: ignore[import-untyped]  # ships no types
import pytest

from ringback.failures import FailureClass
from ringback.send.reactor import Reactor
from ringback.send.transfer import Transfer
from tests.send.conftest import Client, failing_once
from tests.zoo import Zoo

C = FailureClass


@pytest.mark.parametrize("left", [0, 1])
async def test_no_file_descriptor_left_is_not_the_receiver_s_fault(
    client: Client, zoo: Zoo, left: int
) -> None:
    """One is too few as well: libcurl takes a duplicate of the socket."""
    await client.post(zoo.url())
    elsewhere = zoo.closed_url()

    with descriptors_left(left):
        outcome = await client.post(elsewhere)
    after = await client.post(elsewhere)

    assert (outcome.transport, outcome.detail) == (C.SENDER_ERROR, "no file descriptor left")
    assert after.transport is C.CONNECT_REFUSED


@pytest.mark.parametrize(
    ("owner", "callback"), [(Reactor, "on_new_socket"), (Transfer, "_socket_to")], ids=["watched", "opened"]
)
async def test_a_socket_that_cannot_be_had_ends_its_own_attempt(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, owner: type, callback: str
) -> None:
    hung = client.start(zoo.url("never"))
    await asyncio.to_thread(zoo.wait_for, 1)

    monkeypatch.setattr(owner, callback, failing_once(getattr(owner, callback)))
    outcome = await client.post(zoo.url())

    assert (outcome.transport, outcome.detail) == (C.SENDER_ERROR, "unexpected ValueError")
    assert (await client.post(zoo.url())).status == 200
    assert not hung.done()


@pytest.mark.parametrize("callback", ["_arm", "_on_timer"])
async def test_a_multi_handle_that_broke_is_replaced(
    client: Client,
    zoo: Zoo,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    callback: str,
) -> None:
    """The last one raises into libcurl, which takes nothing any more after that."""
    monkeypatch.setattr(Reactor, callback, failing_once(getattr(Reactor, callback)))

    outcomes = await asyncio.gather(*(client.post(zoo.url()) for _ in range(5)))
    after = await asyncio.gather(*(client.post(zoo.url()) for _ in range(5)))

    assert C.SENDER_ERROR in {one.transport for one in outcomes} <= {C.SENDER_ERROR, None}
    assert [one.status for one in after] == [200] * 5
    assert client.sender.in_flight == 0
    assert "a multi handle of libcurl broke" in caplog.text


async def test_a_socket_that_cannot_be_watched_breaks_it_too(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector = client.sender._reactor._selector
    monkeypatch.setattr(selector, "register", failing_once(selector.register))

    assert (await client.post(zoo.url())).transport is C.SENDER_ERROR
    assert (await client.post(zoo.url())).status == 200


async def test_what_was_under_way_is_lost_with_its_multi_handle(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = [client.start(zoo.url("never")) for _ in range(3)]
    await asyncio.to_thread(zoo.wait_for, 3)

    monkeypatch.setattr(Reactor, "_arm", failing_once(Reactor._arm))
    await client.post(zoo.url())

    assert [(await one).transport for one in hung] == [C.SENDER_ERROR] * 3
    assert (await client.post(zoo.url())).status == 200


async def test_stopping_before_a_loss_is_told_tells_it_once(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reactor, "_arm", failing_once(Reactor._arm))
    waiting = client.start(zoo.url())

    await client.sender.close()

    assert (await waiting).transport is C.SENDER_ERROR
    assert client.sender.in_flight == 0


async def test_timers_closer_than_the_loop_can_count_break_nothing(client: Client, zoo: Zoo) -> None:
    """A loop that counts in milliseconds fires some a hair too early: they are armed again for no time."""
    hung = [client.start(zoo.url("never"), timeout_ms=20 + number) for number in range(300)]
    while not all(one.done() for one in hung):
        assert (await client.post(zoo.url())).status == 200

    assert {one.result().transport for one in hung} <= {C.RESPONSE_TIMEOUT, C.CONNECT_TIMEOUT}
    assert (await client.post(zoo.url())).status == 200


async def test_who_fails_to_take_an_end_costs_no_other_theirs(
    zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    ended: asyncio.Queue[pycurl.Curl] = asyncio.Queue()

    def take(handle: pycurl.Curl, _code: int, _message: str) -> None:
        ended.put_nowait(handle)
        raise ValueError("not taken")

    reactor = Reactor(asyncio.get_running_loop(), take)
    handles = {pycurl.Curl() for _ in range(5)}
    for handle in handles:
        handle.setopt(pycurl.URL, zoo.closed_url())
        reactor.start(handle)

    assert {await ended.get() for _ in handles} == handles
    assert "the end of a transfer was not taken" in caplog.text
    reactor.close()


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = [os.dup(0) for _ in range(count + 1)]
    for fd in free:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
