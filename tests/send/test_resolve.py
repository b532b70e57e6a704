"""Names become addresses promptly, and not for longer than they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringback.failures import FailureClass
from ringback.send.resolve import Answer, Found, NotFound, Resolver
from tests.send.conftest import LONG_ENOUGH_MS, Client
from tests.send.dns import A, NameServer
from tests.zoo import Zoo


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def resolver(dns: NameServer, clock: Clock) -> AsyncIterator[Resolver]:
    resolver = Resolver(asyncio.get_running_loop(), [dns.address], clock)
    yield resolver
    await resolver.close()


async def look_up(resolver: Resolver, host: str) -> Answer:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    resolver.look_up(host, answered.set_result)
    return await answered


async def addresses(resolver: Resolver, host: str) -> set[str]:
    answer = await look_up(resolver, host)
    assert isinstance(answer, Found)
    return set(answer.addresses)


async def test_both_families_are_asked_for(resolver: Resolver, dns: NameServer) -> None:
    dns.tell("both.test", "192.0.2.1", "192.0.2.2", "2001:db8::1")

    assert await addresses(resolver, "both.test") == {"192.0.2.1", "192.0.2.2", "2001:db8::1"}


async def test_the_hosts_file_comes_first(resolver: Resolver, dns: NameServer) -> None:
    assert "127.0.0.1" in await addresses(resolver, "localhost")
    assert dns.asked == []


@pytest.mark.parametrize(("ttl", "kept_for"), [(0, 1), (20, 20), (3600, 60)])
async def test_an_answer_is_kept_as_long_as_it_says_within_bounds(
    resolver: Resolver, dns: NameServer, clock: Clock, ttl: int, kept_for: int
) -> None:
    dns.tell("a.test", "192.0.2.1", ttl=ttl)
    await look_up(resolver, "a.test")

    clock.now += kept_for - 0.5
    assert isinstance(resolver.kept("a.test"), Found)
    clock.now += 1
    assert resolver.kept("a.test") is None


async def test_a_moved_name_is_followed_although_its_old_answer_said_an_hour(
    resolver: Resolver, dns: NameServer, clock: Clock
) -> None:
    dns.tell("a.test", "192.0.2.1", ttl=3600)
    await look_up(resolver, "a.test")

    dns.tell("a.test", "192.0.2.2", ttl=3600)
    clock.now += 61

    assert await addresses(resolver, "a.test") == {"192.0.2.2"}


async def test_a_name_that_appears_is_found_within_seconds(
    resolver: Resolver, dns: NameServer, clock: Clock
) -> None:
    dns.refuse("new.test")
    assert isinstance(await look_up(resolver, "new.test"), NotFound)
    assert isinstance(resolver.kept("new.test"), NotFound)

    dns.tell("new.test", "192.0.2.1")
    clock.now += 5.5

    assert resolver.kept("new.test") is None
    assert await addresses(resolver, "new.test") == {"192.0.2.1"}


async def test_a_name_without_addresses_is_not_found(resolver: Resolver, dns: NameServer) -> None:
    dns.tell("empty.test")

    answer = await look_up(resolver, "empty.test")

    assert isinstance(answer, NotFound)
    assert answer.failure is FailureClass.DNS_NOT_FOUND


async def test_who_asks_for_the_same_name_shares_one_look_up(resolver: Resolver, dns: NameServer) -> None:
    dns.tell("shared.test", "192.0.2.1")

    answers = await asyncio.gather(*(look_up(resolver, "shared.test") for _ in range(50)))

    assert len(set(answers)) == 1
    assert dns.asked.count(("shared.test", A)) == 1


async def test_search_domains_are_not_tried(dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALDOMAIN", "search.test")
    dns.refuse("short")
    dns.tell("short.search.test", "192.0.2.1")
    resolver = Resolver(asyncio.get_running_loop(), [dns.address])

    answer = await look_up(resolver, "short")
    await resolver.close()

    assert isinstance(answer, NotFound)


async def test_thirty_hung_names_do_not_delay_a_healthy_one(
    client: Client, dns: NameServer, zoo: Zoo
) -> None:
    dns.tell("healthy.test", "127.0.0.1")
    hung = [client.start(f"http://hung-{number}.test/", timeout_ms=1_500) for number in range(30)]

    healthy = await client.post(f"http://healthy.test:{zoo.port}/ok")

    assert healthy.status == 200
    assert not any(one.done() for one in hung)
    outcomes = await asyncio.gather(*hung)
    assert {one.transport for one in outcomes} == {FailureClass.DNS_TIMEOUT}


async def test_the_deadline_covers_the_look_up(client: Client, zoo: Zoo, dns: NameServer) -> None:
    dns.tell("slow.test", "127.0.0.1")

    outcome = await client.post(f"http://slow.test:{zoo.port}/never", timeout_ms=400)

    assert outcome.transport is FailureClass.RESPONSE_TIMEOUT
    assert outcome.timings.dns_ms is not None
    assert outcome.timings.total_ms < LONG_ENOUGH_MS
