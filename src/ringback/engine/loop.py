"""The engine: what happens to a delivery from its lease to its recorded result.

    ingest ──hand over──┐
                        ├─► start ─► attempt ─► answer ─► recorder ─► recorded
    claims ──claimed────┘     └─ held or deleted: release

Everything here runs on one event loop. A delivery is *known* from its lease to its recorded result;
the store's leases that are not known are sent back by upkeep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from ringback import failpoint
from ringback.engine.attempt import Attempts
from ringback.engine.claims import Claims
from ringback.engine.gone import end_integration
from ringback.engine.lanes import Lanes
from ringback.engine.pace import Pace
from ringback.engine.recorder import Recorder
from ringback.engine.upkeep import Upkeep
from ringback.errors import StoreUnavailable
from ringback.failures import FAILURES
from ringback.match import EMPTY, Snapshot
from ringback.model import AttemptResult, Integration, Leased, Node
from ringback.retry import PROFILES
from ringback.snapshot import LiveSnapshot
from ringback.store.port import QueueDepth, Store

RELEASE_RETRY_SECONDS = 0.5
LAST_RECORD_SECONDS = 1.0
AWAY_SECONDS = 5.0


class Observer(Protocol):
    """Hears what the engine does, for logs, metrics and live updates."""

    def claimed(self, leased: Leased) -> None: ...
    def attempt(self, result: AttemptResult, recorded: bool) -> None: ...
    def recorded_batch(self, size: int) -> None: ...
    def depth(self, *, queued: int, retrying: int, held: int, sending: int, oldest_due_ms: int) -> None: ...
    def released(self, count: int) -> None: ...
    def trouble(self, what: str, error: BaseException) -> None: ...


class Engine:
    def __init__(
        self,
        store: Store,
        node: Node,
        live: LiveSnapshot,
        attempts: Attempts,
        observer: Observer,
        window: int,
        pace: Pace = Pace(),  # noqa: B008 - a frozen value
    ) -> None:
        self.lanes = Lanes(window)
        self._away_until = 0.0
        self._store = store
        self._node = node
        self._live = live
        self._attempts = attempts
        self._observer = observer
        self._known: set[int] = set()
        self._releases: list[int] = []
        self._configuration = EMPTY
        self._tasks: list[asyncio.Task[None]] = []
        self._on_broken: Callable[[BaseException], None] = lambda error: observer.trouble("engine", error)
        self._recorder = Recorder(store, node, self._recorded, self.store_unavailable)
        self._claims = Claims(
            store, node, self.lanes, live, self._start_claimed, self.store_unavailable, pace.look
        )
        self._upkeep = Upkeep(
            store,
            node,
            known=lambda: self._known,
            freed=self._claims.wake,
            depth=self._measured,
            away=self._store_is_away,
            failed=observer.trouble,
            pace=pace,
        )

    # -- life

    async def run(self, on_broken: Callable[[BaseException], None]) -> None:
        """Start all loops. `on_broken` hears of an error that no loop could handle: the process must end."""
        self._on_broken = on_broken
        self._live.listen(self._configured)
        self._configuration = self._live.current
        await self._upkeep.rescue()
        await self._claims.first_look()
        loops = {"recorder": self._recorder.run(), "claims": self._claims.run(), "upkeep": self._upkeep.run()}
        for name, loop in loops.items():
            task = asyncio.create_task(loop, name=name)
            task.add_done_callback(self._loop_ended)
            self._tasks.append(task)

    async def drain(self, seconds: float) -> None:
        """Stop claiming, finish what is under way for at most `seconds`, record, give back the rest.

        What a database that is away does not take back is rescued by the next start.
        """
        await self._stop("claims", "upkeep")
        try:
            async with asyncio.timeout(seconds):
                while self._known:
                    await self._recorder.flushed()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await self._give_back_the_rest()
        await self._stop("recorder")

    async def _give_back_the_rest(self) -> None:
        """What was answered and is not recorded yet is recorded first, or it would be sent again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_RECORD_SECONDS):
                await self._recorder.flushed()
        await self._released(sorted(self._known))

    async def stop(self) -> None:
        """Without a drain: the next life rescues what was in flight."""
        await self._stop(*{task.get_name() for task in self._tasks})

    async def _stop(self, *names: str) -> None:
        stopping = [task for task in self._tasks if task.get_name() in names]
        for task in stopping:
            task.remove_done_callback(self._loop_ended)
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_broken(error)

    # -- what ingest calls

    def take(self, integration: Integration, now: int) -> bool:
        """A slot for a new delivery; False where it must wait in the database."""
        if integration.integration_id not in self._live.current.open:
            self.lanes.queue_behind(integration.integration_id)
            return False
        return self.lanes.take(integration.integration_id, integration.max_concurrency, now)

    def give_back(self, integration_id: int) -> None:
        self.lanes.returned(integration_id)

    def wake(self, integration_id: int | None = None) -> None:
        """There is work due: in this lane, which somebody asks for, or in those that ingest found full."""
        if integration_id is not None:
            self.lanes.forgive(integration_id)
            self.lanes.queue_behind(integration_id)
        self._claims.look_again()

    def start(self, leased: Leased) -> None:
        """Send a leased delivery whose slots are taken; give it back where its lane is held or gone.

        Never raises: one start that breaks must neither end the node nor hold up the starts behind it.
        """
        self._known.add(leased.delivery_id)
        integration = self._live.current.open.get(leased.integration_id)
        if integration is None:
            self._give_up(leased)
            return
        try:
            failpoint.reach("before_send")
            self._attempts.start(leased, integration, self._store.now(), self._answered)
        except Exception as error:  # noqa: BLE001 - as said above
            # Unknown again: upkeep finds the lease and sends it back.
            self._known.discard(leased.delivery_id)
            self.lanes.returned(leased.integration_id)
            self._observer.trouble("hand over", error)

    def _start_claimed(self, leased: Leased) -> None:
        self._observer.claimed(leased)
        self.start(leased)

    @property
    def can_commit(self) -> bool:
        """Whether no commit has failed for a while: a small one may still fit where a large one does not."""
        return asyncio.get_running_loop().time() >= self._away_until

    @property
    def in_flight(self) -> int:
        return len(self._known)

    # -- what attempts, the recorder and upkeep tell

    def _answered(self, result: AttemptResult) -> None:
        try:
            failpoint.reach("after_answer")
            self.lanes.answered(result.leased.integration_id)
            self._tell_breaker(result)
            self._claims.look_again()
            self._recorder.add(result)
        except Exception as error:  # noqa: BLE001 - a result that is lost here would hold its slots for ever
            self._on_broken(error)

    def _tell_breaker(self, result: AttemptResult) -> None:
        lane_id = result.leased.integration_id
        integration = self._live.current.integrations.get(lane_id)
        if integration is None or not PROFILES[integration.settings.profile].circuit_breaker:
            return
        if result.failure is None:
            self.lanes.succeeded(lane_id)
        elif FAILURES[result.failure].counts_against_health:
            self.lanes.failed(lane_id, self._store.now())

    def _recorded(self, results: Sequence[AttemptResult], written: frozenset[int]) -> None:
        self.lanes.recorded(len(results))
        self._observer.recorded_batch(len(results))
        for result in results:
            leased, decision = result.leased, result.decision
            self._known.discard(leased.delivery_id)
            recorded = leased.delivery_id in written
            self._observer.attempt(result, recorded)
            if decision.due_at is not None:
                self.lanes.waits(leased.integration_id, decision.due_at)
            if decision.disable_integration and recorded:
                self._spawn(self._end(leased.integration_id))
        self._claims.look_again()

    def _configured(self, snapshot: Snapshot) -> None:
        """A lane that was let go has old work due, which new work must not overtake; one whose integration
        was changed gets a new chance.
        """
        before, self._configuration = self._configuration, snapshot
        for lane_id, integration in snapshot.open.items():
            if lane_id not in before.open:
                self.lanes.queue_behind(lane_id)
            if before.integrations.get(lane_id) is not integration:
                self.lanes.forgive(lane_id)
        self._attempts.forget(lambda integration_id: integration_id not in snapshot.integrations)
        self._claims.wake()

    def _measured(self, depth: QueueDepth) -> None:
        oldest = depth.oldest_due
        self._observer.depth(
            queued=depth.queued,
            retrying=depth.retrying,
            held=depth.held,
            sending=depth.sending,
            oldest_due_ms=0 if oldest is None else max(self._store.now() - oldest, 0),
        )

    def _store_is_away(self) -> None:
        self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS

    def store_unavailable(self, error: StoreUnavailable) -> None:
        self._store_is_away()
        self._observer.trouble("store", error)

    # -- giving back

    def _give_up(self, leased: Leased) -> None:
        self.lanes.returned(leased.integration_id)
        if not self._releases:
            self._spawn(self._release_gathered())
        self._releases.append(leased.delivery_id)

    async def _release_gathered(self) -> None:
        await asyncio.sleep(0)
        gathered, self._releases = self._releases, []
        await self._release(gathered)

    async def _release(self, delivery_ids: Sequence[int]) -> None:
        while not await self._released(delivery_ids):
            await asyncio.sleep(RELEASE_RETRY_SECONDS)

    async def _released(self, delivery_ids: Sequence[int]) -> bool:
        """Whether the database took them back."""
        try:
            failpoint.reach("before_release")
            self._observer.released(await self._store.release(delivery_ids, self._node))
        except StoreUnavailable as error:
            self.store_unavailable(error)
            return False
        self._known.difference_update(delivery_ids)
        return True

    async def _end(self, integration_id: int) -> None:
        try:
            await end_integration(integration_id, self._store, self._live)
        except StoreUnavailable as error:
            self._observer.trouble("disable", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        task.add_done_callback(self._loop_ended)
