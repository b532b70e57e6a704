"""The short way of a publish: from uvicorn's HTTP parser straight to ingest, and back in one write.

Every other request, and a publish that is not alone on its connection, goes uvicorn's own way through
ASGI. What a publish does not need, it does not pay for: no scope, no task, no events, no middleware.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ringback.api.answers import Answer, new_request_id
from ringback.api.publish import (
    BODY_SECONDS,
    READ_ON_BYTES,
    Publishing,
    Submitted,
    is_publish,
    too_large,
    too_slow,
)
from ringback.errors import RingbackError
from ringback.match import BusinessView

_STATUS_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}


class _Exchange:
    """One publish on its connection. uvicorn sees it as the connection's current cycle."""

    __slots__ = (
        "body",
        "disconnected",
        "error",
        "keep_alive",
        "message_event",
        "more_body",
        "request_id",
        "response_complete",
        "timer",
        "view",
    )

    def __init__(self, keep_alive: bool, wake: asyncio.Event) -> None:
        self.body = bytearray()
        self.keep_alive = keep_alive
        self.message_event = wake
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.request_id = new_request_id()
        self.view: BusinessView | None = None
        self.error: RingbackError | None = None
        self.timer: asyncio.TimerHandle | None = None


class PublishProtocol(HttpToolsProtocol):
    """`publishing` is given by `with_publishing`."""

    publishing: Publishing
    cycle: Any
    _exchange: _Exchange | None = None
    # uvicorn sets the event of whatever cycle is current; nobody waits for an exchange's.
    _unheard = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        exchange = self._exchange
        if exchange is not None and exchange.more_body and exchange.timer is None:
            exchange.timer = self.loop.call_later(BODY_SECONDS, self._too_slow, exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None and self._exchange.timer is not None:
            self._exchange.timer.cancel()
        super().connection_lost(exc)

    # -- the parser's calls

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self._exchange = None

    def on_headers_complete(self) -> None:
        if self._takes_the_short_way():
            self._begin()
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_body(body)
        elif not exchange.response_complete:
            exchange.body += body
            if len(exchange.body) > READ_ON_BYTES:
                self._check_size(exchange)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        exchange.more_body = False
        if exchange.timer is not None:
            exchange.timer.cancel()
        if not exchange.response_complete:
            self._submit(exchange)

    # -- a publish

    def _takes_the_short_way(self) -> bool:
        """Alone on its connection, and with nothing to negotiate."""
        return (
            self.url.endswith(b"/events")
            and b"%" not in self.url
            and (self.cycle is None or self.cycle.response_complete)
            and is_publish(self.parser.get_method().decode("ascii"), self.url.decode("ascii", "replace"))
            and not self.expect_100_continue
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def _begin(self) -> None:
        exchange = _Exchange(self.parser.should_keep_alive(), self._unheard)
        self._exchange = self.cycle = exchange
        try:
            exchange.view = self.publishing.open(self.url.decode("ascii"), self.headers)
        except RingbackError as error:
            # Answered when the body is there, so that its sender is ready to read.
            exchange.error = error

    def _check_size(self, exchange: _Exchange) -> None:
        """Far too large: answered now, and the rest is not waited for."""
        limit = self.publishing.max_body(exchange.body)
        if len(exchange.body) > limit + READ_ON_BYTES:
            exchange.keep_alive = False
            self._refuse(exchange, too_large(limit))

    def _submit(self, exchange: _Exchange) -> None:
        try:
            submitted = self._submitted(exchange)
        except Exception as error:  # noqa: BLE001 - the top of a request: every error becomes its answer
            self._refuse(exchange, error)
            return
        submitted.committed.add_done_callback(partial(self._committed, exchange, submitted))

    def _submitted(self, exchange: _Exchange) -> Submitted:
        if exchange.error is not None or exchange.view is None:
            raise exchange.error or RingbackError("a publish without a business")
        limit = self.publishing.max_body(exchange.body)
        if len(exchange.body) > limit:
            raise too_large(limit)
        return self.publishing.submit(exchange.view, bytes(exchange.body))

    def _committed(self, exchange: _Exchange, submitted: Submitted, _done: object) -> None:
        try:
            answer = submitted.answer(exchange.request_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(exchange, error)
        else:
            self._answer(exchange, answer)

    def _too_slow(self, exchange: _Exchange) -> None:
        if exchange.more_body and not exchange.response_complete:
            exchange.keep_alive = False
            self._refuse(exchange, too_slow())

    def _refuse(self, exchange: _Exchange, error: Exception) -> None:
        self._answer(exchange, self.publishing.refuse(error, exchange.request_id))

    def _answer(self, exchange: _Exchange, answer: Answer) -> None:
        exchange.response_complete = True
        if exchange.disconnected or self.transport.is_closing():
            return
        parts = [_STATUS_LINES[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            parts += (name, b": ", value, b"\r\n")
        if not exchange.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", answer.body)
        self.transport.write(b"".join(parts))
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()


def with_publishing(publishing: Publishing) -> type[HttpToolsProtocol]:
    """uvicorn makes a protocol per connection from a class: this one knows where publishes go."""
    return type("BoundPublishProtocol", (PublishProtocol,), {"publishing": publishing})
