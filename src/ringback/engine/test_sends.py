"""Attempts that somebody asks for to try an integration out: beside the queue, and not stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ringback.engine.attempt import Attempts
from ringback.errors import Unavailable
from ringback.model import AttemptResult, Integration, Leased, Message

MAX_TESTS = 50


class TestSends:
    """`clock` gives milliseconds since 1970."""

    def __init__(self, attempts: Attempts, clock: Callable[[], int]) -> None:
        self._attempts = attempts
        self._clock = clock
        self._under_way = 0

    async def attempt(self, integration: Integration, message: Message) -> AttemptResult:
        """Raises Unavailable where many are under way."""
        if self._under_way >= MAX_TESTS:
            raise Unavailable("too many test sends are under way", retry_after=5)
        future: asyncio.Future[AttemptResult] = asyncio.get_running_loop().create_future()
        now = self._clock()
        self._under_way += 1
        try:
            leased = _leased(integration, message, now)
            self._attempts.start(leased, integration, now, future.set_result, test=True)
            return await future
        finally:
            self._under_way -= 1


def _leased(integration: Integration, message: Message, now: int) -> Leased:
    return Leased(
        delivery_id=0,
        integration_id=integration.integration_id,
        message=message,
        attempts=0,
        tries=0,
        due_at=now,
        created_at=now,
    )
