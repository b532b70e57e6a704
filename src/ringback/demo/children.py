"""The processes of the demo: sessions of their own, lines shown under their names, none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

from ringback.errors import ConfigurationError

MAX_LINE_BYTES = 1024 * 1024
NAME_WIDTH = 10

Say = Callable[[str, str], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child:
    """One `ringback` command. `lines` it has said are given to `say` as they come."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, say: Say) -> None:
        self.name = name
        self._process = process
        self._say = say
        self._awaited: list[tuple[re.Pattern[str], asyncio.Future[str]]] = []
        self._listening = asyncio.create_task(self._listen(), name=name)

    @classmethod
    async def start(cls, name: str, arguments: list[str], environment: Mapping[str, str], say: Say) -> Self:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringback",
            *arguments,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid()),
        )
        return cls(name, process, say)

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def said(self, pattern: str, seconds: float) -> str:
        """The first group of the first line from now on that matches.

        Raises ConfigurationError where the child ends before, TimeoutError.
        """
        matched: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited.append((re.compile(pattern), matched))
        first: list[asyncio.Future[Any]] = [matched, self._listening]
        async with asyncio.timeout(seconds):
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not matched.done():
            raise ConfigurationError(f"{self.name} ended before it was ready")
        return matched.result()

    async def ended(self) -> int:
        """Its exit code, once everything it said was shown. May be cancelled and asked again."""
        await asyncio.shield(self._listening)
        return await self._process.wait()

    async def stop(self, number: signal.Signals, patience: float) -> None:
        """Ask it to end; make it, where it has not within `patience` seconds."""
        self._signal(number)
        try:
            async with asyncio.timeout(patience):
                await self.ended()
        except TimeoutError:
            self._say(self.name, f"did not end within {patience:.0f} s and was killed")
            self.kill()
            await self.ended()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self._say(self.name, line)
            self._answer(line)
        await self._process.wait()

    def _answer(self, line: str) -> None:
        for pattern, matched in self._awaited:
            found = pattern.search(line)
            if found and not matched.done():
                matched.set_result(found[1])


def _end_with(parent: int) -> Callable[[], None]:
    """Run in the child before its program: when the parent dies, even killed, the child is told to end."""

    def arrange() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)

    return arrange


class Stage:
    """Where everybody speaks: one line each, under a coloured name on a terminal, flushed at once."""

    _COLOURS: Mapping[str, str] = {
        "demo": "\x1b[1m",
        "server": "\x1b[36m",
        "good sink": "\x1b[32m",
        "flaky sink": "\x1b[33m",
        "calls": "\x1b[35m",
    }

    def __init__(self, coloured: bool) -> None:
        self.coloured = coloured

    def say(self, name: str, line: str) -> None:
        label = f"{name:<{NAME_WIDTH}} │"
        if self.coloured:
            label = f"{self._COLOURS.get(name, '')}{label}\x1b[0m"
        print(f"{label} {line}", flush=True)
