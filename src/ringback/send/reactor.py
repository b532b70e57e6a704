"""libcurl's multi handle on an asyncio loop.

Registering a socket costs more than all else in a small POST, so a kept-alive connection stays
registered between its requests, until it has something unasked to say. libcurl closes sockets without
a word, and their numbers are used again by whoever comes next: that is why they have a selector of
their own, which the loop watches, and are never the loop's.

Once a callback has failed, libcurl refuses a multi handle for ever. None may raise into it, and a
handle that broke all the same is given up, with what it carried: the next start makes a new one.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Callable, Sequence
from contextlib import suppress

import pycurl  # type: ignore[import-untyped]  # ships no types

logger = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
KEPT_CONNECTIONS = 1024

Finished = Callable[[pycurl.Curl, int, str], None]


class Reactor:
    """`finished(handle, code, message)` is called on the loop, for each handle once; it may start more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, finished: Finished) -> None:
        self._loop = loop
        self._finished = finished
        self._multi: pycurl.CurlMulti = None  # the next start makes it
        self._broken: str | None = None
        self._selector = selectors.DefaultSelector()
        self._loop.add_reader(self._selector, self._on_ready)
        self._wanted: dict[int, int] = {}
        self._registered: dict[int, int] = {}
        self._running: set[pycurl.Curl] = set()
        self._due: float | None = None
        self._armed_for = 0.0
        self._timer: asyncio.Handle | None = None
        self._turn: asyncio.Handle | None = None

    def start(self, handle: pycurl.Curl) -> None:
        """Raises `pycurl.error` where there is no multi handle to be had."""
        if self._multi is None:
            self._multi = self._new_multi()
        self._running.add(handle)
        try:
            self._multi.add_handle(handle)
        except pycurl.error as error:
            self._broken = _named(error)
        if self._broken is not None:
            self._give_up()

    def abandon(self, handle: pycurl.Curl) -> None:
        if handle in self._running:
            self._remove(handle)

    def close(self) -> None:
        """Every handle must have finished or been abandoned."""
        for waiting in (self._timer, self._turn):
            if waiting is not None:
                waiting.cancel()
        if self._multi is not None:
            self._multi.close()
        self._loop.remove_reader(self._selector)
        self._selector.close()

    def on_new_socket(self, fd: int, _purpose: int) -> int:
        """For CURLOPT_SOCKOPTFUNCTION: what was known of this number was another socket's."""
        self._register(fd, 0)
        return int(pycurl.SOCKOPT_OK)

    def _new_multi(self) -> pycurl.CurlMulti:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_interest)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, KEPT_CONNECTIONS)
        return multi

    def _on_interest(self, interest: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        try:
            wanted = 0 if interest == pycurl.POLL_REMOVE else interest
            self._wanted[fd] = wanted
            registered = self._registered.get(fd, 0)
            if registered != wanted and not (registered == READ and not wanted):
                self._register(fd, wanted)
        except Exception as error:  # noqa: BLE001 - as said above
            self._broken = _named(error)

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
            if self._wanted.get(key.fd):
                self._act(key.fd, events)
            else:
                self._register(key.fd, 0)

    def _on_timer(self, delay_ms: int) -> None:
        try:
            if delay_ms:
                self._due = None if delay_ms < 0 else self._loop.time() + delay_ms / 1000
                self._arm()
            elif self._turn is None:
                self._turn = self._loop.call_soon(self._on_turn)
        except Exception as error:  # noqa: BLE001 - as said above
            self._broken = _named(error)

    def _arm(self) -> None:
        """A timer that is armed too early is left alone: it looks again when it fires."""
        if self._due is None or (self._timer is not None and self._armed_for <= self._due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed_for = self._loop.call_at(self._due, self._on_due), self._due

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
        if self._multi is None:
            return
        try:
            _, running = self._multi.socket_action(fd, events)
            if running < len(self._running):
                self._collect()
        except pycurl.error as error:
            self._broken = _named(error)
        if self._broken is not None:
            self._give_up()

    def _collect(self) -> None:
        waiting = 1
        while waiting and self._multi is not None:
            waiting, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._end(handle, pycurl.E_OK, "")
            for handle, code, message in failed:
                self._end(handle, code, message)

    def _end(self, handle: pycurl.Curl, code: int, message: str) -> None:
        """What is not running any more was lost with its multi handle, by a start in between."""
        if handle not in self._running:
            return
        self._remove(handle)
        self._tell(handle, code, message)

    def _remove(self, handle: pycurl.Curl) -> None:
        self._running.remove(handle)
        try:
            self._multi.remove_handle(handle)
        except pycurl.error as error:
            self._broken = _named(error)

    def _tell(self, handle: pycurl.Curl, code: int, message: str) -> None:
        try:
            self._finished(handle, code, message)
        except Exception:
            logger.exception("the end of a transfer was not taken")

    def _give_up(self) -> None:
        lost, reason = tuple(self._running), self._broken or ""
        logger.error("a multi handle of libcurl broke", extra={"reason": reason, "lost": len(lost)})
        for handle in lost:
            self._remove(handle)
        with suppress(pycurl.error):
            self._multi.close()
        self._multi = self._broken = self._due = None
        self._forget_sockets()
        self._loop.call_soon(self._tell_lost, lost, reason)

    def _forget_sockets(self) -> None:
        for fd in tuple(self._selector.get_map()):
            self._selector.unregister(fd)
        self._registered.clear()
        self._wanted.clear()

    def _tell_lost(self, lost: Sequence[pycurl.Curl], reason: str) -> None:
        for handle in lost:
            self._tell(handle, pycurl.E_ABORTED_BY_CALLBACK, reason)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
