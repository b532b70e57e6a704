"""A client of the publish route that can be rude: requests and replies as bytes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.processes import API_KEY, Server

KIB, MIB = 1024, 1024 * 1024
PATIENCE = 30.0
FAILED = b'{"EventType":"call.failed","Data":%b}'


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.status == 202, self.body
        return self.envelope["Data"]

    @property
    def faults(self) -> dict[str, str]:
        return {fault["Field"]: fault["Message"] for fault in self.envelope["Errors"]}


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def read_reply(connection: socket.socket) -> Reply:
    stream = connection.makefile("rb", buffering=0)
    status = int(read_line(stream).split()[1])
    headers = {}
    while line := read_line(stream):
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    body = b""
    while len(body) < int(headers.get("content-length", "0")):
        body += stream.read(int(headers["content-length"]) - len(body))
    return Reply(status, headers, body)


def read_line(stream: Any) -> str:
    """Unbuffered: what follows belongs to the next reply."""
    line = b""
    while not line.endswith(b"\r\n"):
        byte = stream.read(1)
        assert byte, f"the connection ended within {line!r}"
        line += byte
    return line[:-2].decode("latin-1")


@dataclass
class Door:
    """Where one business' events are published."""

    server: Server
    business_id: int
    key: str = API_KEY
    escaped: bool = False

    @property
    def path(self) -> str:
        name = str(self.business_id)
        shown = f"%{ord(name[0]):02x}{name[1:]}" if self.escaped else name
        return f"/api/v1/business/{shown}/events"

    def request(self, body: bytes, *lines: str, length: int | None = None) -> bytes:
        """The whole request; `lines` are more headers, one of which may replace the usual."""
        given = {line.partition(":")[0].lower() for line in lines}
        usual = [
            "Host: ringback",
            f"Authorization: Token {self.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body) if length is None else length}",
        ]
        if "transfer-encoding" in given:
            given.add("content-length")
        kept = [line for line in usual if line.partition(":")[0].lower() not in given]
        head = [f"POST {self.path} HTTP/1.1", *kept, *lines, "", ""]
        return "\r\n".join(head).encode("latin-1") + body

    def post(self, body: bytes, *lines: str) -> Reply:
        with connect(self.server) as connection:
            connection.sendall(self.request(body, *lines))
            return read_reply(connection)

    def publish(self, **event: Any) -> Any:
        """`Data` of the answer to a valid event."""
        return self.post(json.dumps({"EventType": "call.failed", "Data": {}, **event}).encode()).data

    def publish_all(self, events: Sequence[Any]) -> Reply:
        return self.post(json.dumps(events).encode())

    def get(self, path: str) -> Any:
        return self.server.call("GET", f"/api/v1/business/{self.business_id}/{path}")

    def stored(self) -> list[str]:
        """EventIds, oldest first."""
        return [event["EventId"] for event in reversed(self.get("events?Limit=200")["Items"])]

    def subscribe(self, url: str) -> None:
        form = {
            "Type": "webhook",
            "FriendlyName": "zoo",
            "Fields": {"Url": url, "Events": ["*"]},
        }
        self.server.call("POST", f"/api/v1/business/{self.business_id}/integrations", form)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def new_door(server: Server, **fields: Any) -> Door:
    made = server.call("POST", "/api/v1/business", {"Name": "Acme", **fields})
    return Door(server, made["BusinessId"])


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"EventType": "call.failed", "EventId": f"evt_{number}", "Data": {"Number": number}, **fields}


def check_refusal(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.envelope["Code"]) == (status, code), reply.body[:500]
    envelope = reply.envelope
    assert list(envelope)[:4] == ["Success", "Data", "Code", "Message"]
    assert (envelope["Success"], envelope["Data"]) == (False, None)
    assert envelope["Message"]
    check_headers(reply)
    assert len(reply.body) < 10_000, "a refusal does not repeat what was sent"
    if status == 422:
        assert all(fault["Field"] and fault["Message"] for fault in envelope["Errors"])


def check_headers(reply: Reply) -> None:
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
