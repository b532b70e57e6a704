"""libcurl's multi handle on an asyncio loop.

Registering a socket costs more than all else in a small POST, so a kept-alive connection stays
registered between its requests, until it has something unasked to say. libcurl closes sockets without
a word, and their numbers are used again by whoever comes next: that is why they have a selector of
their own, which the loop watches, and are never the loop's.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable

import pycurl  # type: ignore[import-untyped]  # ships no types

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
KEPT_CONNECTIONS = 1024

Finished = Callable[[pycurl.Curl, int, str], None]


class Reactor:
    """`finished(handle, code, message)` is called on the loop, for each handle once; it may start more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, finished: Finished) -> None:
        self._loop = loop
        self._finished = finished
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_interest)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, KEPT_CONNECTIONS)
        self._selector = selectors.DefaultSelector()
        self._loop.add_reader(self._selector, self._on_ready)
        self._wanted: dict[int, int] = {}
        self._registered: dict[int, int] = {}
        self._running = 0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None

    def start(self, handle: pycurl.Curl) -> None:
        self._multi.add_handle(handle)
        self._running += 1

    def abandon(self, handle: pycurl.Curl) -> None:
        self._multi.remove_handle(handle)

    def close(self) -> None:
        """Every handle must have finished or been abandoned."""
        for waiting in (self._timer, self._turn):
            if waiting is not None:
                waiting.cancel()
        self._multi.close()
        self._loop.remove_reader(self._selector)
        self._selector.close()

    def on_new_socket(self, fd: int, _purpose: int) -> int:
        """For CURLOPT_SOCKOPTFUNCTION: what was known of this number was another socket's."""
        self._register(fd, 0)
        return int(pycurl.SOCKOPT_OK)

    def _on_interest(self, interest: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        wanted = 0 if interest == pycurl.POLL_REMOVE else interest
        self._wanted[fd] = wanted
        registered = self._registered.get(fd, 0)
        if registered != wanted and not (registered == READ and not wanted):
            self._register(fd, wanted)

    def _register(self, fd: int, events: int) -> None:
        registered = self._registered.get(fd, 0)
        if not events:
            if registered:
                self._selector.unregister(fd)
        elif registered:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)
        self._registered[fd] = events

    def _on_ready(self) -> None:
        for key, events in self._selector.select(0):
            if self._wanted[key.fd]:
                self._act(key.fd, events)
            else:
                self._register(key.fd, 0)

    def _on_timer(self, delay_ms: int) -> None:
        if delay_ms == 0:
            if self._turn is None:
                self._turn = self._loop.call_soon(self._on_turn)
            return
        self._due = None if delay_ms < 0 else self._loop.time() + delay_ms / 1000
        self._arm()

    def _arm(self) -> None:
        """A timer that is armed too early is left alone: it looks again when it fires."""
        if self._due is None or (self._timer is not None and self._timer.when() <= self._due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._on_due)

    def _on_due(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._arm()
        else:
            self._due = None
            self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _on_turn(self) -> None:
        self._turn = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, events: int) -> None:
        _, running = self._multi.socket_action(fd, events)
        if running < self._running:
            self._collect()

    def _collect(self) -> None:
        waiting = 1
        while waiting:
            waiting, succeeded, failed = self._multi.info_read()
            self._running -= len(succeeded) + len(failed)
            for handle in succeeded:
                self._multi.remove_handle(handle)
                self._finished(handle, pycurl.E_OK, "")
            for handle, code, message in failed:
                self._multi.remove_handle(handle)
                self._finished(handle, code, message)
