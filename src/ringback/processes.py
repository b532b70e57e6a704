"""Several processes behind one port: started, watched, started again where they die, ended together.

    supervisor ──fork──► process 1..N, each with a socket of its own on the port

The supervisor serves nothing and loads nothing that a process could inherit half used: each is forked from
it as it was at the beginning. It holds their sockets, so that a connection that comes while its process is
started again waits instead of being refused.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import NoReturn

import structlog

YOUNG_SECONDS = 10.0
MAX_YOUNG_DEATHS = 4
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

# A process' number, from 1, and its socket; its exit code.
Serve = Callable[[int, socket], int]

log = structlog.get_logger("ringback")


def supervise(listeners: Sequence[socket], prepare: Callable[[], int], serve: Serve) -> int:
    """Run `prepare` once, then `serve` in a process for each socket, until a signal; the exit code."""
    supervisor = Supervisor(listeners, serve)
    code = supervisor.run_once(prepare)
    return code or supervisor.run()


def seconds_before_restart(young_deaths: int) -> float | None:
    """After so many deaths in a row, each soon after its start; None: it cannot live."""
    if young_deaths >= MAX_YOUNG_DEATHS:
        return None
    return 0.0 if young_deaths <= 1 else 2.0 ** (young_deaths - 2)


@dataclass
class _Place:
    """Where one process after the other serves; `pid` is None while there is none."""

    number: int
    listener: socket
    pid: int | None = None
    started_at: float = 0.0
    start_at: float | None = 0.0
    young_deaths: int = 0


class Supervisor:
    def __init__(self, listeners: Sequence[socket], serve: Serve) -> None:
        self._places = [_Place(number, listener) for number, listener in enumerate(listeners, 1)]
        self._serve = serve
        self._stopping = False
        self._code = 0
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        # Nothing is ever written to it: it ends when the supervisor does.
        self._life, self._own_end = os.pipe()

    def run_once(self, work: Callable[[], int]) -> int:
        """In a process of its own; its exit code."""
        pid = self._fork(work)
        while True:
            came = signal.sigwait(_SIGNALS)
            if came != signal.SIGCHLD:
                os.kill(pid, signal.SIGTERM)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return _exit_code(status)

    def run(self) -> int:
        while True:
            self._start_due()
            if all(place.pid is None and place.start_at is None for place in self._places):
                return self._code
            came = signal.sigtimedwait(_SIGNALS, self._seconds_to_wait())
            if came is not None and came.si_signo != signal.SIGCHLD:
                self._stop()
            self._reap()

    # -- starting

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.start_at is not None and place.start_at <= now:
                self._start(place, now)

    def _start(self, place: _Place, now: float) -> None:
        place.pid = self._fork(lambda: self._serve_at(place))
        place.started_at, place.start_at = now, None

    def _serve_at(self, place: _Place) -> int:
        for other in self._places:
            if other is not place:
                other.listener.close()
        return self._serve(place.number, place.listener)

    def _fork(self, work: Callable[[], int]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_process(work)
        return pid

    def _become_process(self, work: Callable[[], int]) -> NoReturn:
        """It has a process group of its own: Ctrl-C is for the supervisor, which passes it on once."""
        code = 1
        try:
            os.setpgid(0, 0)
            os.close(self._own_end)
            threading.Thread(target=_end_with, args=(self._life,), name="supervisor", daemon=True).start()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            code = work()
        except BaseException:  # noqa: BLE001 - the top of the process: the stack below is the supervisor's
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    # -- ending

    def _seconds_to_wait(self) -> float:
        due = [place.start_at for place in self._places if place.start_at is not None]
        return max(min(due) - time.monotonic(), 0.0) if due else 3_600.0

    def _stop(self) -> None:
        """Asked a second time, the processes leave at once."""
        self._stopping = True
        for place in self._places:
            place.start_at = None
            if place.pid is None:
                place.listener.close()
            else:
                os.kill(place.pid, signal.SIGTERM)

    def _reap(self) -> None:
        for place in self._places:
            if place.pid is not None:
                ended, status = os.waitpid(place.pid, os.WNOHANG)
                if ended:
                    self._ended(place, _exit_code(status))

    def _ended(self, place: _Place, code: int) -> None:
        pid, place.pid = place.pid, None
        if self._stopping:
            # Nobody will take what comes here: let the kernel give it to those that still drain.
            place.listener.close()
            self._code = self._code or _own_code(code)
            return
        young = time.monotonic() - place.started_at < YOUNG_SECONDS
        place.young_deaths = place.young_deaths + 1 if young else 0
        seconds = seconds_before_restart(place.young_deaths)
        log.warning("process ended", process=place.number, pid=pid, how=_how(code), again_in_s=seconds)
        if seconds is None:
            self._give_up(place, code)
        else:
            place.start_at = time.monotonic() + seconds

    def _give_up(self, place: _Place, code: int) -> None:
        self._code = _own_code(code)
        reason = f"process {place.number} does not live: {place.young_deaths} times in a row {_how(code)}"
        log.critical("stopped", reason=reason)
        self._stop()


def _end_with(life: int) -> None:
    """A process without its supervisor drains: nobody would start it again, or end it."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _exit_code(status: int) -> int:
    """Negative: the signal that ended it."""
    return os.waitstatus_to_exitcode(status)


def _own_code(code: int) -> int:
    """The supervisor's, for a process' that ended so."""
    return code if code >= 0 else 1


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
