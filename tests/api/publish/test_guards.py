"""What a connection may do to the server, and to the answers of others: heads, upgrades, pipelines, ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from ringback.api import connection as guards
from ringback.api.connection import without_upgrade
from tests.api.publish.door import FAILED, MIB, Door, connect, read_reply
from tests.api.publish.test_slow_bodies import served
from tests.e2e.processes import Server
from tests.engine.node import a_node
from tests.engine.staged import PATIENCE

PUBLISH = FAILED % b"{}"


def rest_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    rest = b""
    while part := connection.recv(65_536):
        rest += part
    return rest


@pytest.mark.parametrize("surplus", [b"GARBAGE\r\n\r\n", b"{}", b"\x00\x01"])
def test_what_cannot_be_parsed_never_overtakes_the_answer_before_it(
    server: Server, door: Door, surplus: bytes
) -> None:
    with connect(server) as connection:
        connection.sendall(door.request(PUBLISH) + surplus)
        assert read_reply(connection).status == 202
        assert b"202" not in rest_of(connection), "and then the connection is closed"
    assert len(door.stored()) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_an_offer_to_speak_http_2_is_let_pass(server: Server, door: Door, apart: bool) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    request = door.request(PUBLISH, *offer)
    head, body = request[: -len(PUBLISH)], request[-len(PUBLISH) :]
    with connect(server) as connection:
        connection.sendall(head if apart else request)
        if apart:
            connection.sendall(body)
        assert read_reply(connection).status == 202
        connection.sendall(door.request(PUBLISH))
        assert read_reply(connection).status == 202


def test_an_upgrade_in_pieces_ends_the_connection_and_its_body_is_no_request(
    server: Server, door: Door
) -> None:
    inner = door.request(PUBLISH)
    outer = door.request(inner, "Connection: Upgrade", "Upgrade: h2c")
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cut = outer.index(b"Upgrade: h2c") + 3
        connection.sendall(outer[:cut])
        server.is_ready()  # a request of another connection: the first piece has been read by then
        connection.sendall(outer[cut:])
        assert b"202" not in rest_of(connection)
    assert door.stored() == []


def test_leaving_an_upgrade_out_touches_nothing_else() -> None:
    rest = b"\r\nX: upgrade: no\r\n\r\nbody\r\nUpgrade: stays\r\n\r\n"
    assert without_upgrade(b"POST / HTTP/1.1\r\nUPGRADE: h2c" + rest) == b"POST / HTTP/1.1" + rest


@pytest.mark.parametrize("kind", ["one header", "many headers", "url"])
def test_a_head_has_a_size(server: Server, door: Door, kind: str) -> None:
    lines = {
        "one header": ["X-Large: " + "x" * MIB],
        "many headers": [f"X-{number}: {'x' * 100}" for number in range(MIB // 100)],
        "url": [],
    }[kind]
    request = door.request(PUBLISH, *lines)
    if kind == "url":
        request = request.replace(b"/events", b"/" + b"x" * MIB + b"/events", 1)
    with connect(server) as connection:
        with contextlib.suppress(OSError):  # it is closed before all of it was sent
            connection.sendall(request)
        assert read_reply(connection).status == 431


def test_who_only_listens_still_gets_the_answer(server: Server, door: Door) -> None:
    with connect(server) as connection:
        connection.sendall(door.request(PUBLISH))
        connection.shutdown(socket.SHUT_WR)
        assert read_reply(connection).status == 202
        assert rest_of(connection) == b""


@pytest.mark.parametrize("start", [b"", b"POST /api/v1/bus", b"GET /health/live HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(guards, "HEAD_SECONDS", 0.05)
    async with a_node(tmp_path / "ringback.db") as node, served(node) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b""
        writer.close()


def test_pipelined_requests_are_answered_in_order_however_many(server: Server, door: Door) -> None:
    health = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    with connect(server) as connection:
        connection.sendall((door.request(PUBLISH) + health) * 200)
        statuses = [read_reply(connection).status for _ in range(400)]
    assert statuses == [202, 200] * 200


def test_a_large_batch_is_accepted_whole_and_in_order(door: Door) -> None:
    events = [
        {"EventType": "call.failed", "EventId": f"evt_{number}", "Data": {"Message": "x" * 3_000}}
        for number in range(1_000)
    ]
    reply = door.publish_all(events)
    assert [one["EventId"] for one in reply.data] == [one["EventId"] for one in events]


def test_a_fault_far_into_a_large_batch_is_named_by_its_place(door: Door) -> None:
    events = [{"EventType": "call.failed", "Data": {"Message": "x" * 3_000}} for _ in range(500)]
    events[333]["EventType"] = "call.faild"
    reply = door.publish_all(events)
    assert set(reply.faults) == {"[333].EventType"}
    assert door.stored() == []


def test_a_query_and_an_encoded_body_are_refused_by_name(server: Server, door: Door) -> None:
    with connect(server) as connection:
        connection.sendall(door.request(PUBLISH).replace(b"/events ", b"/events?Dry=1 ", 1))
        assert set(read_reply(connection).faults) == {"Dry"}
    assert door.post(PUBLISH, "Content-Encoding: gzip").status == 415
    assert door.stored() == []


def test_two_keys_in_one_request_are_none(server: Server, door: Door) -> None:
    request = door.request(PUBLISH).replace(b"Host:", b"Authorization: Token other\r\nHost:", 1)
    with connect(server) as connection:
        connection.sendall(request)
        assert read_reply(connection).status == 401


def test_a_refused_body_is_not_kept(server: Server, door: Door) -> None:
    """Only counted: what it weighs shows in the process, not in an answer."""
    import psutil

    assert server.process is not None
    process = psutil.Process(server.process.pid)
    door.key = "no-such-key"
    before = process.memory_info().rss
    with connect(server) as connection:
        for _ in range(100):
            connection.sendall(door.request(b"[" + b" " * (4 * MIB)))
            assert read_reply(connection).status == 401
    assert process.memory_info().rss - before < 64 * MIB
