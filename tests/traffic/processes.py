"""`ringback` commands as processes, watched by what they say."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from typing import Self


class Command:
    """One running command. `lines` is what it has said so far, stderr too."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.lines: list[str] = []
        self._arguments = arguments
        self._environment = environment

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ringback",
            *self._arguments,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1", **self._environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def says(self, pattern: str) -> re.Match[str]:
        """The next line that matches."""
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            self.lines.append(raw.decode().rstrip())
            found = re.search(pattern, self.lines[-1])
            if found:
                return found
        raise AssertionError(f"ended without saying {pattern!r}:\n" + "\n".join(self.lines))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ends(self) -> int:
        """Its exit code, once everything it says is in `lines`."""
        assert self._process.stdout is not None
        self.lines.extend(raw.decode().rstrip() for raw in [line async for line in self._process.stdout])
        return await self._process.wait()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [int(child) for child in children.read().split()]


async def gone(pid: int) -> None:
    """Returns when the process has ended."""
    if not alive(pid):
        return
    ended = asyncio.Event()
    handle = os.pidfd_open(pid)
    asyncio.get_running_loop().add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
