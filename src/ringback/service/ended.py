"""Why a server ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any


class Ended:
    """Why the service ends: a signal asks for it, or an error that nothing could handle breaks it."""

    def __init__(self) -> None:
        self.broken: BaseException | None = None
        self._asked = asyncio.Event()
        self._broke = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def because(self, error: BaseException) -> None:
        """The first error is the reason; during a drain too."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if self.broken is None:
            self.broken = error
        self._broke.set()
        self._asked.set()

    def task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.because(error)

    async def wait(self) -> None:
        await self._asked.wait()

    async def unless_broken(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; leave it where it is as soon as something breaks."""
        if self.broken is not None:
            work.close()
            return
        working = asyncio.create_task(work)
        working.add_done_callback(self.task_done)
        breaking = asyncio.create_task(self._broke.wait())
        await asyncio.wait((working, breaking), return_when=asyncio.FIRST_COMPLETED)
        for task in (working, breaking):
            task.cancel()
        await asyncio.gather(working, breaking, return_exceptions=True)

    def _signalled(self) -> None:
        if self._asked.is_set():
            # Asked twice: whoever asks wants it gone now.
            sys.stderr.write("left at once; what was in flight is sent again by the next start\n")
            os._exit(130)
        self._asked.set()
