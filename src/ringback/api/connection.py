"""uvicorn's HTTP protocol with the limits that a door to the outside needs.

A head has a size and a time. An `Upgrade` that nobody asked for is left out. A request that cannot be
parsed never overtakes the answer to the one before it. A client that does not read is not read from.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Read of a head without seeing its end. What comes in one read (256 KiB at most) is taken as it is.
MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
# What the kernel takes for a client that follows a stream, and how long it waits for a sign of it.
STREAM_BUFFER_BYTES = 128 * 1024
STREAM_LOST_MS = 30_000
_LINGER_NOT = struct.pack("ii", 1, 0)

_UPGRADE = re.compile(rb"\r\n(?:upgrade|http2-settings):[^\r\n]*", re.IGNORECASE)
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)
_UPGRADE_REFUSED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    cycle: Any
    _between = True
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _is_streaming = False

    # -- the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._give_time_for_the_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._between and b"pgrade" in data:
            data = without_upgrade(data)
        super().data_received(data)
        if self._in_head:
            self._wait_for_the_head(len(data))

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's never keeps it open
        """Who has sent everything and only listens still gets the answer."""
        if self._is_streaming or not self._is_answering():
            return None
        self.cycle.keep_alive = False
        return True

    # -- the parser's calls

    def on_message_begin(self) -> None:
        self._in_head = True
        self._between = False
        self._head_bytes = 0
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_is_there()
        if self.transport.is_closing():
            return
        if self.parser.should_upgrade():
            # Its body could be taken for a request: the connection is of no more use.
            self._refuse_connection(_UPGRADE_REFUSED)
            return
        self.take_request()

    def take_request(self) -> None:
        """uvicorn's own way: its scope is made only now, for a request that needs one."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        self.scope["state"]["connection"] = self
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between = True
        if not self.transport.is_closing():
            super().on_message_complete()

    # -- answers

    def begin_stream(self) -> None:
        """An answer without an end: it lasts as long as the client stays, and little waits for a slow one."""
        self._is_streaming = True
        self._set_option(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self._set_option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STREAM_LOST_MS)

    @property
    def is_closing(self) -> bool:
        return bool(self.transport.is_closing())

    def abort(self) -> None:
        """What was not sent is thrown away, by the kernel too."""
        self._set_option(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self.transport.abort()

    def _set_option(self, level: int, option: int, value: int | bytes) -> None:
        """One that is closed already needs none, and has a number that is none."""
        with suppress(OSError, ValueError):
            self.transport.get_extra_info("socket").setsockopt(level, option, value)

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed ends the connection, after the answer that is still owed."""
        if self._is_answering():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            super().send_400_response(msg)

    def on_response_complete(self) -> None:
        self._is_streaming = False
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()

    def _is_answering(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    # -- limits of a head

    def _wait_for_the_head(self, size: int) -> None:
        """Counted by what was read and not by header, which every request would pay for."""
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_connection(_HEAD_TOO_LARGE)
        elif self._head_timer is None:
            self._give_time_for_the_head()

    def _refuse_connection(self, answer: bytes) -> None:
        if not self._is_answering():
            self.transport.write(answer)
        self.transport.close()

    def _give_time_for_the_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def without_upgrade(data: bytes) -> bytes:
    """The same request, as if it had not offered to speak another protocol: nobody has to accept that."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + end + rest
