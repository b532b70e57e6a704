"""Retention deletes by itself: every while a pass over all chores, step by step, with rests in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from ringback.errors import RingbackError, StoreBroken
from ringback.store.port import Chore, Keep, Store

STEP = 250
# A rest is so many times as long as the step before it: up to date it hardly shows, late it hurries.
RESTS, RESTS_WHEN_LATE = 9, 3
LATE_MS = 3_600_000
SHORTEST_REST_SECONDS = 0.001

# Rows that a step removed, by kind; then how many ms late it was, 0 at the end of a chore.
Told = Callable[[Chore, Mapping[str, int], int], None]


class Retention:
    """`told` hears of every step, `passed` of every pass (sums, end), `failed` of what did not work."""

    def __init__(
        self,
        store: Store,
        keep: Keep,
        told: Told,
        passed: Callable[[Mapping[str, int], int], None],
        failed: Callable[[str, RingbackError], None],
        seconds: float,
    ) -> None:
        self._store = store
        self._keep = keep
        self._told = told
        self._passed = passed
        self._failed = failed
        self._seconds = seconds

    async def run(self) -> None:
        """A pass, `seconds` of pause, and again, until it is cancelled."""
        while True:
            try:
                await self.sweep()
            except StoreBroken:
                raise
            except RingbackError as error:
                self._failed("retention", error)
            await asyncio.sleep(self._seconds)

    async def sweep(self) -> None:
        """Everything that is due now."""
        removed: Counter[str] = Counter()
        for chore in Chore:
            removed.update(await self._do(chore))
        self._passed(+removed, self._store.now())

    async def _do(self, chore: Chore) -> Counter[str]:
        removed: Counter[str] = Counter()
        clock, store = asyncio.get_running_loop().time, self._store
        started = clock()
        while (step := await store.sweep(chore, self._keep, store.now(), STEP)) is not None:
            removed.update(step.removed)
            self._told(chore, step.removed, step.behind_ms)
            await asyncio.sleep(rest_after(clock() - started, step.behind_ms))
            started = clock()
        self._told(chore, {}, 0)
        return removed


def rest_after(seconds: float, behind_ms: int) -> float:
    """The step took so long; part of that it may have waited for others, who then get more room still."""
    rests = RESTS if behind_ms < LATE_MS else RESTS_WHEN_LATE
    return max(seconds * rests, SHORTEST_REST_SECONDS)
