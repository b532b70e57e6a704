"""The short way of a publish: from uvicorn's HTTP parser straight to ingest, and back in one write.

Every other request, and a publish that is not alone on its connection, goes uvicorn's own way through
ASGI. What a publish does not need, it does not pay for: no scope, no task, no events, no middleware.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus

from ringback.api.answers import Answer, new_request_id
from ringback.api.connection import GuardedProtocol
from ringback.api.publish import (
    BODY_SECONDS,
    READ_ON_BYTES,
    START_BYTES,
    Publishing,
    RawHeaders,
    Submitted,
    is_large,
    is_publish,
    too_large,
    too_slow,
)
from ringback.errors import InvalidApiKey, NotFound, RingbackError, Unavailable
from ringback.match import BusinessView

_STATUS_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n".encode() for one in HTTPStatus}


class _Exchange:
    """One publish on its connection. uvicorn sees it as the connection's current cycle."""

    __slots__ = (
        "body",
        "disconnected",
        "error",
        "held",
        "keep_alive",
        "message_event",
        "more_body",
        "request_id",
        "response_complete",
        "size",
        "start",
        "timer",
        "view",
    )

    def __init__(self, keep_alive: bool, wake: asyncio.Event) -> None:
        self.body = bytearray()
        self.size = 0
        self.start = b""
        self.held = 0
        self.keep_alive = keep_alive
        self.message_event = wake
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.request_id = new_request_id()
        self.view: BusinessView | None = None
        self.error: RingbackError | None = None
        self.timer: asyncio.TimerHandle | None = None


class PublishProtocol(GuardedProtocol):
    """`publishing` is given by `with_publishing`."""

    publishing: Publishing
    _exchange: _Exchange | None = None
    # uvicorn sets the event of whatever cycle is current; nobody waits for an exchange's.
    _unheard = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        exchange = self._exchange
        if exchange is not None and exchange.more_body and exchange.timer is None:
            exchange.timer = self.loop.call_later(BODY_SECONDS, self._too_slow, exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self._body_is_there(self._exchange)
        super().connection_lost(exc)

    # -- the parser's calls

    def on_message_begin(self) -> None:
        self._exchange = None
        super().on_message_begin()

    def take_request(self) -> None:
        if self._takes_the_short_way():
            self._begin()
        else:
            super().take_request()

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_body(body)
        elif not exchange.response_complete:
            self._gather(exchange, body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        self._between = True
        exchange.more_body = False
        self._body_is_there(exchange)
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
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
        )

    def _begin(self) -> None:
        view, refusal = None, None
        try:
            view = self.publishing.open(self.url.decode("ascii"), self.headers)
        except RingbackError as error:
            if isinstance(error, InvalidApiKey) and _may_be_signed_in(self.headers):
                super().take_request()
                return
            # Answered when the body is there, so that its sender is ready to read. Its traceback would
            # hold on to all of this.
            refusal = error.with_traceback(None)
        exchange = _Exchange(self.parser.should_keep_alive(), self._unheard)
        exchange.view, exchange.error = view, refusal
        self._exchange = self.cycle = exchange

    def _gather(self, exchange: _Exchange, part: bytes) -> None:
        if len(exchange.start) < START_BYTES:
            exchange.start += part[:START_BYTES]
        exchange.size += len(part)
        limit = self.publishing.max_body(exchange.start)
        if exchange.size > limit + READ_ON_BYTES:
            # Far too large: answered now, and the rest is not waited for.
            self._end(exchange, too_large(limit))
        elif exchange.error is None and exchange.size <= limit:
            exchange.body += part
            exchange.held += len(part)
            if not self.publishing.bodies.take(len(part)):
                self._end(exchange, Unavailable("too many bodies are on their way in"))

    def _end(self, exchange: _Exchange, error: RingbackError) -> None:
        """Answer in the middle of the body; nothing can follow it on this connection."""
        exchange.keep_alive = False
        self._body_is_there(exchange)
        self._refuse(exchange, error)

    def _body_is_there(self, exchange: _Exchange) -> None:
        """Or never will be."""
        if exchange.timer is not None:
            exchange.timer.cancel()
        self.publishing.bodies.give_back(exchange.held)
        exchange.held = 0
        if exchange.more_body:
            exchange.body = bytearray()

    def _submit(self, exchange: _Exchange) -> None:
        view, body = exchange.view, bytes(exchange.body)
        limit = self.publishing.max_body(exchange.start)
        if view is None:
            self._refuse(exchange, exchange.error or NotFound("there is no such business"))
        elif exchange.size > limit:
            self._refuse(exchange, too_large(limit))
        elif is_large(view, body):
            task = self.loop.create_task(self._submit_large(exchange, view, body))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self._submit_small(exchange, view, body)

    def _submit_small(self, exchange: _Exchange, view: BusinessView, body: bytes) -> None:
        try:
            submitted = self.publishing.submit(view, body)
        except Exception as error:  # noqa: BLE001 - the top of a request: every error becomes its answer
            self._refuse(exchange, error)
        else:
            submitted.committed.add_done_callback(partial(self._committed, exchange, submitted))

    async def _submit_large(self, exchange: _Exchange, view: BusinessView, body: bytes) -> None:
        try:
            submitted = await self.publishing.submit_large(view, body)
            await submitted.committed
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(exchange, error)
        else:
            self._answer(exchange, submitted.answer(exchange.request_id))

    def _committed(self, exchange: _Exchange, submitted: Submitted, _done: object) -> None:
        try:
            answer = submitted.answer(exchange.request_id)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(exchange, error)
        else:
            self._answer(exchange, answer)

    def _too_slow(self, exchange: _Exchange) -> None:
        if exchange.more_body and not exchange.response_complete:
            self._end(exchange, too_slow())

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


def _may_be_signed_in(headers: RawHeaders) -> bool:
    return any(name == b"cookie" for name, _ in headers)


def with_publishing(publishing: Publishing) -> type[PublishProtocol]:
    """uvicorn makes a protocol per connection from a class: this one knows where publishes go."""
    return type("BoundPublishProtocol", (PublishProtocol,), {"publishing": publishing})
