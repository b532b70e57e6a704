"""A change is in force in all processes on the database before it is answered: they look like one server.

Nothing depends on it. A process that does not answer at once follows within a second, as on another machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ringback.errors import StoreUnavailable
from ringback.neighbours import Neighbours

ANSWER_SECONDS = 1.0
_ASK, _ANSWER = "version?", "version"


class Agreement:
    """`catch_up` brings the configuration up to date here and gives its version."""

    def __init__(self, neighbours: Neighbours, catch_up: Callable[[], Awaitable[int]]) -> None:
        self._neighbours = neighbours
        self._catch_up = catch_up
        self._versions: dict[int, int] = {}
        self._news = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        neighbours.on(_ASK, self._asked)
        neighbours.on(_ANSWER, self._answered)

    async def reach(self, version: int) -> None:
        """Until every other process has this version, or a newer one, or has not answered in time."""
        self._neighbours.tell(_ASK, b"%d" % version)
        # Whoever is dead is found by the sending.
        await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while any(self._versions.get(node, 0) < version for node in self._neighbours.known):
                    self._news.clear()
                    await self._news.wait()

    def _asked(self, node_id: int, _version: bytes) -> None:
        task = asyncio.create_task(self._answer(node_id))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, node_id: int) -> None:
        # Who cannot read does not answer, and catches up when it can.
        with suppress(StoreUnavailable):
            version = await self._catch_up()
            self._neighbours.tell_one(node_id, _ANSWER, b"%d" % version)

    def _answered(self, node_id: int, version: bytes) -> None:
        self._versions[node_id] = int(version)
        self._news.set()
