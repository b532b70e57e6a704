"""HTTP as bytes, for receivers that must be able to get it wrong."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import BinaryIO

import trustme
from cryptography import x509

from tests.zoo.certificates import show_self_signed

HOST = "127.0.0.1"
FAR_AHEAD = datetime(2999, 5, 3, tzinfo=UTC)
ONCE, LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 5, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Received:
    """One request as it came. Header names are in lower case, `port` is the sender's."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int


def read_request(stream: BinaryIO, port: int) -> Received | None:
    """None at the end of the connection."""
    request_line = stream.readline().decode("latin-1").split()
    if len(request_line) != 3:
        return None
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    body = stream.read(int(headers.get("content-length", "0")))
    return Received(request_line[0], request_line[1], headers, body, port)


def head(status: int, *headers: tuple[str, str]) -> bytes:
    status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return "\r\n".join([status_line, *(f"{name}: {value}" for name, value in headers), "", ""]).encode()


def tls_context(authority: trustme.CA, kind: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if kind == "self-signed":
        show_self_signed(context, x509.IPAddress(ip_address(HOST)))
    else:
        issuer = trustme.CA() if kind == "untrusted" else authority
        name = "elsewhere.test" if kind == "wrong-name" else HOST
        since, until = {"expired": (ONCE, LONG_AGO), "not-yet": (FAR_AHEAD, None)}.get(kind, (None, None))
        issuer.issue_cert(name, not_before=since, not_after=until).configure_cert(context)
    context.set_alpn_protocols(["h2"] if kind == "http2" else ["http/1.1"])
    return context


# ---------------------------------------------------------------- HTTP/2, the little that answers 200

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STATUS_200 = b"\x88"


def serve_http2(connection: ssl.SSLSocket) -> None:
    stream = connection.makefile("rb")
    if stream.read(len(_PREFACE)) != _PREFACE:
        return
    connection.sendall(_frame(_SETTINGS, 0, 0))
    while frame_head := stream.read(9):
        length, kind, flags, stream_id = _parsed(frame_head)
        payload = stream.read(length)
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            connection.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            connection.sendall(_frame(_HEADERS, _END_HEADERS | _END_STREAM, stream_id, _STATUS_200))


def _frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return struct.pack("!IBI", len(payload) << 8 | kind, flags, stream_id) + payload


def _parsed(frame_head: bytes) -> tuple[int, int, int, int]:
    length_and_kind, flags, stream_id = struct.unpack("!IBI", frame_head)
    return length_and_kind >> 8, length_and_kind & 0xFF, flags, stream_id & 0x7FFF_FFFF
