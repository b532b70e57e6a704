"""The least code that POSTs with libcurl on asyncio: no deadline, no limits, one fixed receiver.

Fair to measure against because it is not slow either: a kept-alive connection stays registered with
the loop, and handles are used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pycurl  # type: ignore[import-untyped]  # ships no types


class Poster:
    """`done` is called on the loop for each POST that was answered with 200; others end the run."""

    def __init__(self, url: str, done: Callable[[], None]) -> None:
        self._url = url
        self._done = done
        self._loop = asyncio.get_running_loop()
        self._idle: list[pycurl.Curl] = []
        self._readers: set[int] = set()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, 1_024)

    def post(self, body: bytes) -> None:
        handle = self._idle.pop() if self._idle else self._handle()
        handle.setopt(pycurl.POSTFIELDS, body)
        self._multi.add_handle(handle)

    def _handle(self) -> pycurl.Curl:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, self._url)
        handle.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json", "Expect:"])
        handle.setopt(pycurl.WRITEFUNCTION, _ignore)
        handle.setopt(pycurl.PROXY, "")
        handle.setopt(pycurl.TCP_NODELAY, 1)
        return handle

    def _on_socket(self, interest: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        if interest != pycurl.POLL_REMOVE and fd not in self._readers:
            self._readers.add(fd)
            self._loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        if interest in (pycurl.POLL_OUT, pycurl.POLL_INOUT):
            self._loop.add_writer(fd, self._writable, fd)

    def _writable(self, fd: int) -> None:
        self._loop.remove_writer(fd)
        self._act(fd, pycurl.CSELECT_OUT)

    def _on_timer(self, delay_ms: int) -> None:
        if delay_ms == 0:
            self._loop.call_soon(self._act, pycurl.SOCKET_TIMEOUT, 0)
        elif delay_ms > 0:
            self._loop.call_later(delay_ms / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, events: int) -> None:
        self._multi.socket_action(fd, events)
        waiting, succeeded, failed = self._multi.info_read()
        if waiting or failed:
            raise RuntimeError(f"POSTs failed: {[message for _, _, message in failed]}")
        for handle in succeeded:
            if handle.getinfo(pycurl.RESPONSE_CODE) != 200:
                raise RuntimeError("a POST was not answered with 200")
            self._multi.remove_handle(handle)
            self._idle.append(handle)
            self._done()


def _ignore(_chunk: bytes) -> None:
    """The answer's body is not needed."""
