"""How a publish comes: in chunks, in pieces, in a row, half, or as what is no request at all."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.publish.door import (
    FAILED,
    KIB,
    PATIENCE,
    Door,
    check_refusal,
    connect,
    event,
    new_door,
    read_reply,
)
from tests.e2e.processes import API_KEY, Server, wait_until
from tests.zoo import Zoo


def test_requests_follow_one_another_on_a_connection(door: Door) -> None:
    with connect(door.server) as connection:
        replies = []
        for body in (FAILED % b"{}", b"{", FAILED % b"{}", b"[]", FAILED % b"{}"):
            connection.sendall(door.request(body))
            replies.append(read_reply(connection))

    assert [reply.status for reply in replies] == [202, 400, 202, 422, 202]


def test_requests_sent_without_waiting_are_answered_in_their_order(door: Door) -> None:
    bodies = [FAILED % b"{}", b"{", *(FAILED % b"{}" for _ in range(10)), b"[]"]
    get = f"GET /api/v1/business HTTP/1.1\r\nHost: x\r\nAuthorization: Token {API_KEY}\r\n\r\n"
    with connect(door.server) as connection:
        connection.sendall(b"".join(map(door.request, bodies)) + get.encode())
        replies = [read_reply(connection) for _ in range(len(bodies) + 1)]

    assert [reply.status for reply in replies] == [202, 400, *[202] * 10, 422, 200]
    accepted = [reply.data["EventId"] for reply in replies if reply.status == 202]
    assert accepted == door.stored()


def test_a_body_in_chunks_is_read(door: Door) -> None:
    body = FAILED % b'{"a":1}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"

    assert door.post(chunks, "Transfer-Encoding: chunked").status == 202


def test_a_body_in_pieces_is_read(door: Door) -> None:
    request = door.request(FAILED % b'{"a":1}')
    with connect(door.server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), 40):
            connection.sendall(request[start : start + 40])
        assert read_reply(connection).status == 202


def test_who_waits_to_be_asked_for_the_body_is_asked(door: Door) -> None:
    body = FAILED % b"{}"
    with connect(door.server) as connection:
        connection.sendall(door.request(b"", "Expect: 100-continue", length=len(body)))
        assert read_reply(connection).status == 100
        connection.sendall(body)
        assert read_reply(connection).status == 202


def test_a_client_of_http_1_0_is_served(door: Door) -> None:
    with connect(door.server) as connection:
        connection.sendall(door.request(FAILED % b"{}").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        assert read_reply(connection).status == 202


def test_who_hangs_up_within_the_body_harms_nobody(door: Door) -> None:
    body = FAILED % b"{}"
    for sent in (0, 1, len(body) - 1):
        with connect(door.server) as connection:
            connection.sendall(door.request(body[:sent], length=len(body)))

    assert door.publish(**event(1))["Duplicate"] is False
    assert door.stored() == ["evt_1"]


def test_what_was_sent_whole_is_delivered_though_its_sender_left(door: Door, heard: str, zoo: Zoo) -> None:
    for number in range(20):
        with connect(door.server) as connection:
            connection.sendall(door.request(json.dumps(event(number)).encode()))
            connection.shutdown(socket.SHUT_RDWR)

    assert door.publish(**event(99))["Deliveries"] == 1
    wait_until("as many deliveries as events", lambda: settled(door), PATIENCE)
    received = [request.headers["webhook-id"] for request in zoo.received_at(heard)]
    assert sorted(received) == sorted(door.stored())


def settled(door: Door) -> bool:
    states = [one["State"] for one in door.get("deliveries?Limit=200")["Items"]]
    return len(states) == len(door.stored()) and set(states) == {"delivered"}


@pytest.mark.parametrize(
    "name", ["1%0d%0aX-Evil:%201", "1%00", "%ff", "..%2f1", "1/../1", "-1", "9" * 40, "1;2"]
)
def test_a_path_that_names_no_business_is_not_found(server: Server, name: str) -> None:
    door = new_door(server)
    request = door.request(FAILED % b"{}").replace(b"/%d/" % door.business_id, f"/{name}/".encode(), 1)
    with connect(server) as connection:
        connection.sendall(request)
        reply = read_reply(connection)

    check_refusal(reply, 404, "NOT_FOUND")
    assert "x-evil" not in reply.headers


@pytest.mark.parametrize(
    "line",
    [
        "X-Request-Id: mine",
        "X-Forwarded-For: 10.0.0.1\x00",
        "X-Odd: \xff\xfe",
        "X-Many: " + ", ".join(["x"] * 5_000),
        "Connection: close",
    ],
)
def test_a_header_of_no_meaning_here_changes_nothing(door: Door, line: str) -> None:
    reply = door.post(FAILED % b"{}", line)

    assert reply.status in (202, 400), "the parser may refuse what is no header"
    assert reply.headers.get("x-request-id") != "mine"


START = b"POST /api/v1/business/1/events HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "request_text",
    [
        b"",
        b"\r\n\r\n",
        b"POST\r\n\r\n",
        b"POST /api/v1/business/1/events HTTP/9.9\r\n\r\n",
        START + b"Content-Length: -1\r\n\r\n",
        START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        START + b"No colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    ],
)
def test_what_is_no_request_harms_nobody(server: Server, request_text: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(request_text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(64 * KIB):
            answer += part

    assert not answer or answer.split()[1] in (b"400", b"401", b"404", b"505"), answer[:200]
    assert new_door(server).publish()["Duplicate"] is False


def test_many_at_once_are_all_answered(door: Door) -> None:
    def publish(number: int) -> bool:
        return bool(door.publish(**event(number))["Duplicate"])

    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(publish, range(200))) == [False] * 200
