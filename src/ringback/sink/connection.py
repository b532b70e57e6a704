"""The sink's side of HTTP/1.1: one connection, one request after another."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from http import HTTPStatus
from socket import SO_LINGER, SOL_SOCKET
from typing import cast

import httptools

from ringback.sink.behaviour import Plan

MAX_BODY_BYTES = 16 * 1024 * 1024

# Headers by lower-case name, and the body.
Judge = Callable[[dict[str, str], bytes], Plan]

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One client. A request that arrives while another is being answered ends the connection."""

    def __init__(self, judge: Judge, connections: set[Connection]) -> None:
        self._judge = judge
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._late_answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._connections.discard(self)
        if self._late_answer is not None:
            self._late_answer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            self.hang_up()
            raise
        except httptools.HttpParserError:
            self.hang_up()

    def hang_up(self) -> None:
        """Cut the connection: the other side sees a reset."""
        if self._transport.is_closing():
            return
        socket = self._transport.get_extra_info("socket")
        socket.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
        self._transport.abort()

    # -- what httptools calls

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > MAX_BODY_BYTES:
            self._answer(Plan(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE), stay=False)
        else:
            self._body.append(part)

    def on_message_complete(self) -> None:
        if self._transport.is_closing():
            return
        if self._late_answer is not None:
            self.hang_up()
            return
        stay = self._parser.should_keep_alive()
        if self._parser.get_method() != b"POST":
            self._answer(Plan(status=HTTPStatus.METHOD_NOT_ALLOWED), stay)
            return
        plan = self._judge(self._headers, b"".join(self._body))
        if plan.delay:
            loop = asyncio.get_running_loop()
            self._late_answer = loop.call_later(plan.delay, self._answer, plan, stay)
        else:
            self._answer(plan, stay)

    def _answer(self, plan: Plan, stay: bool) -> None:
        self._late_answer = None
        if plan.status is None:
            self.hang_up()
            return
        self._transport.write(_response(plan.status, plan.retry_after, stay))
        if not stay:
            self._transport.close()


def _response(status: int, retry_after: int | None, stay: bool) -> bytes:
    retry = f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
    closing = "" if stay else "Connection: close\r\n"
    length = "" if status in _BODILESS else "Content-Length: 0\r\n"
    return f"HTTP/1.1 {status} {_reason(status)}\r\n{length}{retry}{closing}\r\n".encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "On Purpose"
