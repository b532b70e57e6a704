"""The engine in virtual time: a loop whose clock jumps to the next timer, and a receiver by script.

Everything but the network and the clock is real: ingest, engine, SQLite. The order of ready tasks is
shuffled by a seed, so that nothing may depend on it; thousands of hours pass in seconds.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from ringback.engine.attempt import Attempts
from ringback.engine.loop import Engine
from ringback.engine.pace import Pace
from ringback.failures import FailureClass
from ringback.ingest import Ingest
from ringback.keyring import KeyRing
from ringback.model import AttemptResult, Message, Node, Outcome, Timings
from ringback.observe import Metrics, Observer
from ringback.send import Request
from ringback.snapshot import LiveSnapshot
from ringback.store.sqlite import SqliteStore

# Upkeep is not what these tests are about; hours of it would be most of their work.
SLOW = Pace(
    look=900,
    heartbeat=3_600,
    rescue=3_600,
    orphans=3_600,
    cancellations=3_600,
    depth=3_600,
    statistics=3_600,
    secrets=3_600,
    sessions=3_600,
)
START_MS = 1_790_000_000_000
T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Never sleeps: waiting for a timer moves the loop's clock to it."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: the system is stuck")
        if timeout > 0:
            self.loop.virtual_seconds += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, seed: int) -> None:
        self.virtual_seconds = 0.0
        self._random = Random(seed)
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)
        # A timer is due within this of its time. After 194 days a float cannot tell nanoseconds apart.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.virtual_seconds

    def wall_ms(self) -> int:
        return START_MS + int(self.virtual_seconds * 1000)

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]  # the stock loop's queue of callbacks
        order = list(ready)
        self._random.shuffle(order)
        ready.clear()
        ready.extend(order)
        super()._run_once()  # type: ignore[misc]


def run_virtually(seed: int, main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    loop = VirtualLoop(seed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))


@dataclass(frozen=True)
class Seen:
    """One request as the receiver saw it."""

    at_ms: int
    url: str
    event_id: str
    attempt: int


Script = Callable[[str], tuple[float, int | FailureClass]]


@dataclass
class ScriptedReceiver:
    """Stands in for the network: `script(url)` gives (seconds, status or transport failure)."""

    loop: VirtualLoop
    script: Script
    seen: list[Seen] = field(default_factory=list)
    ended: dict[tuple[str, str, int], int] = field(default_factory=dict)
    open_now: Counter[str] = field(default_factory=Counter)
    most_open: Counter[str] = field(default_factory=Counter)
    most_open_in_all: int = 0

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        headers = dict(request.headers)
        seen = Seen(self.loop.wall_ms(), request.url, headers["webhook-id"], int(headers["webhook-attempt"]))
        self.seen.append(seen)
        self.open_now[request.url] += 1
        self.most_open[request.url] = max(self.most_open[request.url], self.open_now[request.url])
        self.most_open_in_all = max(self.most_open_in_all, self.open_now.total())
        seconds, answer = self.script(request.url)
        self.loop.call_later(seconds, self._answer, seen, answer, done)

    def _answer(self, seen: Seen, answer: int | FailureClass, done: Callable[[Outcome], None]) -> None:
        self.open_now[seen.url] -= 1
        now = self.loop.wall_ms()
        self.ended[seen.url, seen.event_id, seen.attempt] = now
        status = answer if isinstance(answer, int) else None
        done(
            Outcome(
                started_at=seen.at_ms,
                ended_at=now,
                timings=Timings(total_ms=float(now - seen.at_ms)),
                status=status,
                transport=None if isinstance(answer, int) else answer,
            )
        )

    def attempts_of(self, event_id: str) -> list[Seen]:
        return [one for one in self.seen if one.event_id == event_id]

    def by_url(self) -> dict[str, list[Seen]]:
        grouped: dict[str, list[Seen]] = defaultdict(list)
        for one in self.seen:
            grouped[one.url].append(one)
        return grouped


class Rig:
    """One node without HTTP: the store, ingest and the engine on a virtual loop."""

    def __init__(
        self,
        store: SqliteStore,
        lease: Node,
        receiver: ScriptedReceiver,
        window: int,
        jitter: Callable[[], float],
    ) -> None:
        self.store = store
        self.lease = lease
        self.receiver = receiver
        self.live = LiveSnapshot(store)
        self.metrics = Metrics()
        self.results: list[tuple[AttemptResult, bool]] = []
        self.observer = observer = _Listening(self.metrics, self.results)
        attempts = Attempts(receiver, KeyRing([bytes(32)]), "ringback/test", jitter)
        self.engine = Engine(store, lease, self.live, attempts, observer, window, SLOW)
        self.ingest = Ingest(store, lease, self.live, self.engine, observer, 20_000)
        self.broken: list[BaseException] = []
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        loop: VirtualLoop,
        script: Script,
        *,
        window: int = 100,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> Rig:
        store = await SqliteStore.open(path, clock=loop.wall_ms, inline=True)
        lease = await store.join(store.now())
        return cls(store, lease, ScriptedReceiver(loop, script), window, jitter)

    async def start(self) -> None:
        await self.live.refresh()
        await self.engine.run(self.broken.append)
        self._task = asyncio.create_task(self.ingest.run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.engine.stop()
        await self.store.close()

    def message(self, business_id: int, number: int, event_type: str = "call.completed") -> Message:
        return Message(
            event_id=f"evt_{business_id}_{number}",
            event_type=event_type,
            business_id=business_id,
            timestamp=self.store.now(),
            data=b"{}",
        )


class _Listening(Observer):
    """The real observer, and every result kept for the test to read."""

    def __init__(self, metrics: Metrics, results: list[tuple[AttemptResult, bool]]) -> None:
        super().__init__(metrics, None)
        self._results = results

    def attempt(self, result: AttemptResult, recorded: bool) -> None:
        super().attempt(result, recorded)
        self._results.append((result, recorded))
