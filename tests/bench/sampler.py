"""Runs the `ringback` command with a profiler inside that speaks of CPU time, thread by thread.

`python -m tests.bench.sampler FILE serve …`; SIGUSR1 begins, SIGUSR2 ends and writes FILE.

The main thread is sampled: a timer's signal interrupts it wherever it is. Python runs the handler as
soon as the C function that it is in returns, so C code counts for the line that called it, and time in
the event loop itself (uvloop, libuv, their system calls) for the loop. What was used since the last
sample is attributed to where it is now; what the sampler uses is left out.

No signal reaches another thread, and samples taken from the main one would find the others only where
they let go of the GIL. Theirs is told in two: what each SQL statement used from its first step to its
end, by the thread's CPU clock (a few statements a batch, so this disturbs little), and the rest.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from dis import get_instructions
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import apsw
import msgspec

INTERVAL_SECONDS = 0.001_997
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

# The line, and the functions from the innermost outwards.
Key = tuple[int, tuple[CodeType, ...]]
SHOWN_SQL = 70


class Stack(msgspec.Struct, frozen=True):
    """`places` are `module:function`, from the innermost outwards; `line` is its `file:number`."""

    line: str
    places: list[str]
    seconds: float


class Statement(msgspec.Struct, frozen=True):
    """All runs of the SQL statements that begin alike, in one thread."""

    thread: str
    sql: str
    runs: int
    seconds: float


class ThreadTime(msgspec.Struct, frozen=True):
    """`collecting`: in Python's garbage collection, that this thread happened to set off."""

    name: str
    seconds: float
    in_kernel: float
    collecting: float


class Samples(msgspec.Struct, frozen=True):
    """`seconds` is the CPU time of the whole process, threads that Python does not know included."""

    seconds: float
    threads: list[ThreadTime]
    stacks: list[Stack]
    statements: list[Statement]


class Sampler:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._statements = Statements()
        self._collections = Collections()
        self._used: defaultdict[Key, float] = defaultdict(float)
        self._first: list[tuple[threading.Thread, float, float]] = []
        self._process = self._last = self._own = 0.0
        self._sampling = False

    def install(self) -> None:
        """Before a database is opened."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._finish)
        signal.signal(signal.SIGALRM, self._sample)
        apsw.connection_hooks.append(self._statements.follow)
        gc.callbacks.append(self._collections.happened)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self._statements.forget()
        self._collections.used.clear()
        self._first = [(one, _cpu_of(one), _kernel_seconds(one)) for one in threading.enumerate()]
        self._process, self._last = time.process_time(), time.thread_time()
        signal.setitimer(signal.ITIMER_REAL, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def _sample(self, _number: int, interrupted: FrameType | None) -> None:
        if self._sampling:
            return
        self._sampling = True
        now = time.thread_time()
        self._add(_entered_by(interrupted), now - self._last)
        self._last = time.thread_time()
        self._own += self._last - now
        self._sampling = False

    def _add(self, frame: FrameType | None, used: float) -> None:
        line = (frame and frame.f_lineno) or 0
        codes = []
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
        self._used[line, tuple(codes)] += used

    def _finish(self, _number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        samples = Samples(
            seconds=time.process_time() - self._process - self._own,
            threads=[self._thread_time(*one) for one in self._first],
            stacks=[_stack(line, codes, used) for (line, codes), used in self._used.items()],
            statements=self._statements.listed(),
        )
        unfinished = self._path.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(samples))
        unfinished.rename(self._path)

    def _thread_time(self, thread: threading.Thread, cpu: float, kernel: float) -> ThreadTime:
        own = self._own if thread is threading.main_thread() else 0.0
        return ThreadTime(
            name=thread.name,
            seconds=_cpu_of(thread) - cpu - own,
            in_kernel=_kernel_seconds(thread) - kernel,
            collecting=self._collections.used[thread.name],
        )


class Collections:
    def __init__(self) -> None:
        self.used: defaultdict[str, float] = defaultdict(float)
        self._began = 0.0

    def happened(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self.used[threading.current_thread().name] += time.thread_time() - self._began


class Statements:
    """Follows SQLite's own trace: a statement's first step, and its end."""

    def __init__(self) -> None:
        self._started: dict[int, float] = {}
        self._used: dict[tuple[str, str], list[float]] = {}

    def follow(self, db: apsw.Connection) -> None:
        db.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE, self._traced)

    def _traced(self, event: dict[str, Any]) -> None:
        if event["code"] == apsw.SQLITE_TRACE_STMT:
            self._started[event["id"]] = time.thread_time()
            return
        used = time.thread_time() - self._started.pop(event["id"], time.thread_time())
        key = threading.current_thread().name, event["sql"][:SHOWN_SQL]
        runs = self._used.setdefault(key, [0, 0.0])
        runs[0] += 1
        runs[1] += used

    def forget(self) -> None:
        self._used = {}

    def listed(self) -> list[Statement]:
        return [Statement(*key, int(runs), seconds) for key, (runs, seconds) in self._used.items()]


def _entered_by(frame: FrameType | None) -> FrameType | None:
    """A frame that has just been entered, or resumed, has used nothing yet: its caller did."""
    while frame is not None and frame.f_lasti in _entries(frame.f_code) and frame.f_back is not None:
        frame = frame.f_back
    return frame


@cache
def _entries(code: CodeType) -> frozenset[int]:
    return frozenset(one.offset for one in get_instructions(code) if one.opname == "RESUME")


def _stack(line: int, codes: tuple[CodeType, ...], used: float) -> Stack:
    innermost = codes[0].co_filename if codes else ""
    return Stack(f"{innermost}:{line}", [place_of(code) for code in codes], used)


@cache
def place_of(code: CodeType) -> str:
    """`module:function`, the module as its file is found from `sys.path`."""
    file = Path(code.co_filename)
    roots = [Path(root) for root in sys.path if root and file.is_relative_to(root)]
    if not roots:
        return f"{code.co_filename}:{code.co_qualname}"
    nearest = max(roots, key=lambda root: len(root.parts))
    return ".".join(file.relative_to(nearest).with_suffix("").parts) + f":{code.co_qualname}"


def _cpu_of(thread: threading.Thread) -> float:
    """Of a living thread of this process, in seconds, from its CPU clock."""
    return time.clock_gettime((~(thread.native_id or 0) << 3) | 6)


def _kernel_seconds(thread: threading.Thread) -> float:
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[12]) / TICKS_PER_SECOND


def main() -> None:
    Sampler(Path(sys.argv[1])).install()
    sys.argv[:2] = ["ringback"]
    from ringback.cli.main import main as ringback

    sys.exit(ringback())


if __name__ == "__main__":
    main()
