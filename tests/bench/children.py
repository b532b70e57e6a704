"""Child processes: pinned to a core, waited for, measured and ended by their own id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

READY_SECONDS = 30.0
END_SECONDS = 40.0
POLL_SECONDS = 0.005
ALL_CORES = os.sched_getaffinity(0)


class BenchError(Exception):
    """The run cannot give a figure; says why."""


class Cores(NamedTuple):
    """Where things run. The server has its core to itself; load and receiver share where there are two."""

    server: int
    load: int
    receiver: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        usable = sorted(ALL_CORES)
        return cls(usable[-1], usable[0], usable[1] if len(usable) > 2 else usable[0])


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    core: int | None,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child whose output goes to `log`. It gets SIGTERM at the end, and SIGKILL if that does not end it."""
    with log.open("ab") as output, on_cores(ALL_CORES if core is None else {core}):
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        end(child)


@contextmanager
def on_cores(cores: Set[int]) -> Iterator[None]:
    """A child is born on its cores: every thread of it inherits them."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def module_command(module: str, *arguments: str | int) -> list[str]:
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]


def wait_until(
    holds: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, *, seconds: float = READY_SECONDS
) -> None:
    """Raises BenchError with the end of the log where the child dies or the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if child.poll() is not None:
            raise BenchError(f"a child ended with {child.returncode}:\n{tail(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"a child was not there after {seconds:.0f} s:\n{tail(log)}")
        time.sleep(POLL_SECONDS)


def tail(log: Path, characters: int = 2_000) -> str:
    return log.read_text(errors="replace")[-characters:]


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, user and system, all threads, dead ones too, from its CPU clock."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_bytes(pid: int, line: str) -> int:
    """`VmRSS` (now) or `VmHWM` (the most so far) of a process."""
    for text in Path(f"/proc/{pid}/status").read_text().splitlines():
        if text.startswith(f"{line}:"):
            return int(text.split()[1]) * 1024
    raise BenchError(f"/proc/{pid}/status has no {line}")


def context_switches(pid: int) -> int:
    """Of all living threads, voluntary and not."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for text in status.read_text().splitlines():
            if "ctxt_switches" in text:
                count += int(text.split()[1])
    return count
