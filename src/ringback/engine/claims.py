"""Brings waiting work in: takes slots, claims what they can start, hands it on.

It wakes when a lane is marked due, when a slot comes free while lanes are due, when the next known
waiting time comes, and about once a second to learn of work that somebody else put there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from ringback import failpoint
from ringback.engine.lanes import Grant, Lanes
from ringback.errors import StoreUnavailable
from ringback.model import Leased, Node
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Claimed, Store

MAX_DUE_LANES = 10_000


class Claims:
    def __init__(
        self,
        store: Store,
        node: Node,
        lanes: Lanes,
        live: LiveSnapshot,
        start: Callable[[Leased], None],
        unavailable: Callable[[StoreUnavailable], None],
        look_seconds: float,
    ) -> None:
        self._store = store
        self._node = node
        self._lanes = lanes
        self._live = live
        self._start = start
        self._unavailable = unavailable
        self._look_seconds = look_seconds
        self._wake = asyncio.Event()
        # Looks go by the loop's clock: a step of the wall clock must not stop them.
        self._next_look = 0.0
        self._next_due: int | None = None
        self._expected: int | None = None

    def wake(self) -> None:
        self._wake.set()

    def look_again(self) -> None:
        """Wake where that could matter: lanes are due, or one falls due before the sleep would end."""
        timer = self._lanes.next_timer()
        sooner = timer is not None and (self._expected is None or timer < self._expected)
        if sooner or self._lanes.has_due:
            self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
                while await self._claim():
                    pass
            except StoreUnavailable as error:
                self._unavailable(error)
                await asyncio.sleep(self._look_seconds)
            await self._sleep()

    async def first_look(self) -> None:
        """Before the first publish: which lanes have a backlog."""
        found = await self._store.due_lanes(self._store.now(), MAX_DUE_LANES)
        if len(found.due) < MAX_DUE_LANES:
            self._lanes.know_backlogs(found.due)

    async def _look(self) -> None:
        now = self._store.now()
        due_now = self._next_due is not None and self._next_due <= now
        if not due_now and self._loop_time() < self._next_look:
            return
        found = await self._store.due_lanes(now, MAX_DUE_LANES)
        for lane_id in found.due:
            self._lanes.queue_behind(lane_id)
        self._next_look = self._loop_time() + self._look_seconds
        # A list that was cut at its limit says nothing of later.
        self._next_due = found.next_due if len(found.due) < MAX_DUE_LANES else None

    async def _claim(self) -> bool:
        """One claim; False where there was nothing to ask for, or it changed nothing."""
        due_before = self._lanes.due_count
        grant = self._lanes.grant(self._cap_of, self._store.now())
        if grant is None:
            return False
        try:
            claimed = await self._claim_from_store(grant)
        except StoreUnavailable:
            self._lanes.give_up(grant)
            raise
        used = Counter(leased.integration_id for leased in claimed.leased)
        self._lanes.settle(grant, used, claimed.next_due, self._store.now())
        for leased in claimed.leased:
            self._start(leased)
        return bool(claimed.leased) or self._lanes.due_count < due_before

    async def _claim_from_store(self, grant: Grant) -> Claimed:
        failpoint.reach("before_claim")
        claimed = await self._store.claim(grant.quotas, self._node, self._store.now())
        failpoint.reach("after_claim")
        return claimed

    def _cap_of(self, lane_id: int) -> int:
        integration = self._live.current.open.get(lane_id)
        return 0 if integration is None else integration.max_concurrency

    async def _sleep(self) -> None:
        """Until woken, the next look or the next known waiting time."""
        seconds = self._next_look - self._loop_time()
        known = [due for due in (self._next_due, self._lanes.next_timer()) if due is not None]
        self._expected = min(known, default=None)
        if self._expected is not None:
            seconds = min(seconds, (self._expected - self._store.now()) / 1000)
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _loop_time(self) -> float:
        return asyncio.get_running_loop().time()
