"""What the animals do that need nothing of their zoo. False closes the connection."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.zoo.pages import PAGES
from tests.zoo.wire import Received, head

CHUNK = b"x" * 65536


@dataclass
class Visit:
    """A request and the connection that it is answered on."""

    request: Received
    connection: socket.socket
    argument: str
    extra: list[tuple[str, str]] = field(default_factory=list)

    def write(self, text: bytes) -> None:
        self.connection.sendall(text)

    def answer(self, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
        self.write(head(status, ("Content-Length", str(len(body))), *headers, *self.extra) + body)

    def reset(self) -> None:
        """Leaves with a RST instead of a FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _status(visit: Visit) -> None:
    visit.answer(int(visit.argument))


def _ok(visit: Visit) -> None:
    visit.answer(200, b"ok", ("Content-Type", "text/plain"))


def _page(visit: Visit) -> None:
    status, headers, body = PAGES[visit.argument]
    visit.answer(status, body, *headers)


def _says(visit: Visit) -> None:
    """A status with a reason in the body, as APIs give it."""
    body = b'{"error":"bad signature"}'
    visit.answer(int(visit.argument), body, ("Content-Type", "application/json"))


def _body(visit: Visit) -> None:
    visit.answer(200, b"b" * int(visit.argument))


def _reset(visit: Visit) -> bool:
    visit.reset()
    return False


def _reset_half(visit: Visit) -> bool:
    visit.write(head(200, ("Content-Length", "100")) + b"x" * 50)
    return _reset(visit)


def _hang_up(_visit: Visit) -> bool:
    return False


def _half(visit: Visit) -> bool:
    visit.write(head(200, ("Content-Length", "100")) + b"x" * 50)
    return False


def _half_chunk(visit: Visit) -> bool:
    visit.write(head(200, ("Transfer-Encoding", "chunked")) + b"64\r\n" + b"x" * 50)
    return False


def _half_headers(visit: Visit) -> bool:
    visit.write(b"HTTP/1.1 200 OK\r\nX-Half: y")
    return False


def _flood(visit: Visit) -> None:
    visit.write(head(200, ("Content-Length", str(1 << 50))))
    while True:
        visit.write(CHUNK)


def _flood_chunked(visit: Visit) -> None:
    visit.write(head(200, ("Transfer-Encoding", "chunked")))
    while True:
        visit.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))


def _huge_headers(visit: Visit) -> None:
    visit.answer(200, b"", *((f"X-{number}", "y" * 1000) for number in range(70)))


def _endless_headers(visit: Visit) -> None:
    visit.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        visit.write(b"X-More: " + b"y" * 1000 + b"\r\n")


def _endless_interim(visit: Visit) -> None:
    while True:
        visit.write(head(103, ("Link", "y" * 1000)))


def _odd_headers(visit: Visit) -> None:
    visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Odd: \xff\xe9\r\n\r\n")


def _last_answer(visit: Visit) -> bool:
    """Keeps quiet about closing the connection."""
    visit.answer(200)
    return False


def _too_long(visit: Visit) -> bool:
    visit.write(head(200, ("Content-Length", "2")) + b"ok and much more than that")
    return False


def _garbage(visit: Visit) -> bool:
    visit.write(b"SSH-2.0-OpenSSH_9.9\r\n")
    return False


def _interim(visit: Visit) -> None:
    visit.write(head(103, ("Link", "</a.css>")) * 2)
    visit.answer(200, b"ok", ("X-Final", "yes"))


def _trailers(visit: Visit) -> None:
    visit.write(head(200, ("Transfer-Encoding", "chunked"), ("X-Final", "yes")))
    visit.write(b"2\r\nok\r\n0\r\nX-Trailer: late\r\nX-Final: no\r\n\r\n")


def answer_in_plain_text(connection: socket.socket) -> None:
    """As a web server does to whoever speaks TLS to its plain port."""
    connection.recv(65536)
    connection.sendall(head(400, ("Connection", "close")))


def reset_at_once(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


BEHAVIOURS: dict[str, Callable[[Visit], bool | None]] = {
    "ok": _ok,
    "status": _status,
    "page": _page,
    "says": _says,
    "body": _body,
    "reset": _reset,
    "reset-half": _reset_half,
    "hang-up": _hang_up,
    "half": _half,
    "half-chunk": _half_chunk,
    "half-headers": _half_headers,
    "flood": _flood,
    "flood-chunked": _flood_chunked,
    "huge-headers": _huge_headers,
    "endless-headers": _endless_headers,
    "endless-interim": _endless_interim,
    "odd-headers": _odd_headers,
    "last-answer": _last_answer,
    "too-long": _too_long,
    "garbage": _garbage,
    "interim": _interim,
    "trailers": _trailers,
}
