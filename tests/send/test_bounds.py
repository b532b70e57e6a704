"""What a receiver or a name server can make a node read, keep or wait for has an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringback.failures import FailureClass
from ringback.send import resolve
from ringback.send.resolve import Answer, Resolver
from tests.send.conftest import Client
from tests.send.dns import NameServer
from tests.zoo import Zoo

MIB = 1024 * 1024


class Flood:
    """A receiver that answers 200 MiB and counts how much of it was taken off its hands."""

    def __init__(self) -> None:
        self.taken = 0
        self.left = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB))
        try:
            for _ in range(200):
                writer.write(b"x" * MIB)
                await writer.drain()
                self.taken += 1
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.left.set()


async def test_no_more_of_an_answer_is_taken_than_is_read(client: Client) -> None:
    flood = Flood()
    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    outcome = await client.post(f"http://127.0.0.1:{port}/")
    await flood.left.wait()

    assert (outcome.status, outcome.transport, outcome.truncated) == (200, None, True)
    assert flood.taken < 100, "what the sockets hold between them is all that was sent beyond it"
    server.close()


async def test_the_transfer_gets_what_the_look_up_left_of_the_limit(
    client: Client, dns: NameServer, zoo: Zoo
) -> None:
    timeout_ms = 4_000
    attempt = client.start(f"http://late.test:{zoo.port}/never", timeout_ms=timeout_ms)
    while not dns.asked:
        await asyncio.sleep(0.01)
    # It is asked again after two seconds.
    dns.tell("late.test", "127.0.0.1")
    outcome = await attempt

    assert outcome.transport is FailureClass.RESPONSE_TIMEOUT
    assert outcome.timings.dns_ms is not None
    assert outcome.timings.total_ms - outcome.timings.dns_ms < timeout_ms


async def test_answers_of_name_servers_are_forgotten_oldest_first(
    dns: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MAX_KEPT", 2)
    resolver = Resolver(asyncio.get_running_loop(), [dns.address])
    for name in ("a.test", "b.test", "c.test"):
        dns.tell(name, "192.0.2.1")
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        resolver.look_up(name, answered.set_result)
        await answered

    assert [resolver.kept(name) is None for name in ("a.test", "b.test", "c.test")] == [True, False, False]
    await resolver.close()


async def test_only_so_many_look_ups_are_under_way(dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "MAX_UNDER_WAY", 2)
    resolver = Resolver(asyncio.get_running_loop(), [dns.address])
    names = [f"hung-{number}.test" for number in range(5)]
    for name in names:
        resolver.look_up(name, lambda _: None)
    while {name for name, _ in dns.asked} < set(names[:2]):
        await asyncio.sleep(0.01)
    # Time enough for the others to be asked for, were they allowed to.
    dns.tell("known.test", "192.0.2.1")
    other, answered = (
        Resolver(asyncio.get_running_loop(), [dns.address]),
        asyncio.get_running_loop().create_future(),
    )
    other.look_up("known.test", answered.set_result)
    await answered

    assert {name for name, _ in dns.asked} == {*names[:2], "known.test"}
    await other.close()
    await resolver.close()


async def test_no_password_is_taken_from_the_machine(
    client: Client, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))

    await client.post(zoo.url("ok"))

    (request,) = zoo.received_at("ok")
    assert "authorization" not in request.headers
