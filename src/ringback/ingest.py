"""From a publish to committed events: check, match, batch, commit, hand over.

Batching is natural: while one batch commits, the next gathers. Under load it gathers a moment longer: a
commit costs nearly the same whatever is in it. The batch, not the request, hands its deliveries to the
engine: a publisher that hangs up after the commit loses nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from ringback import failpoint
from ringback.admit import Draft
from ringback.errors import (
    BusinessDisabled,
    NotFound,
    Poisoned,
    RingbackError,
    StaleSnapshot,
    StoreBroken,
    StoreUnavailable,
    Unavailable,
)
from ringback.match import BusinessView, Snapshot
from ringback.model import Integration, Leased, Message, Node
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Accepted, NewEvent, Publish, Store, Target

MAX_BATCH_EVENTS = 2_000
MAX_QUEUED_BYTES = 128 * 1024 * 1024
# A batch of so many requests says that more are on their way: the next one waits for them.
BUSY_REQUESTS = 32
GATHER_SECONDS = 0.002


class Outbound(Protocol):
    """The engine, as ingest sees it."""

    def take(self, integration: Integration, now: int) -> bool: ...
    def give_back(self, integration_id: int) -> None: ...
    def wake(self) -> None: ...
    def start(self, leased: Leased) -> None: ...
    def store_unavailable(self, error: StoreUnavailable) -> None: ...


class Observer(Protocol):
    """Hears what was accepted, for logs, metrics and live updates."""

    def accepted(
        self,
        message: Message,
        deliveries: range,
        *,
        duplicate: bool,
        schema_errors: str | None,
        at: int,
        waited_ms: float,
    ) -> None: ...
    def accepted_batch(self, events: int) -> None: ...
    def trouble(self, what: str, error: BaseException) -> None: ...


@dataclass(slots=True)
class _Entry:
    """One request in the open batch."""

    business_id: int
    drafts: Sequence[Draft]
    size: int
    answer: asyncio.Future[list[Accepted]]
    arrived: float


@dataclass(slots=True)
class _Batch:
    """Entries matched on one snapshot, with the slots that were taken for them."""

    snapshot: Snapshot
    now: int
    entries: list[_Entry] = field(default_factory=list)
    publishes: list[Publish] = field(default_factory=list)


class Ingest:
    def __init__(
        self,
        store: Store,
        node: Node,
        live: LiveSnapshot,
        outbound: Outbound,
        observer: Observer,
        max_queued_events: int,
    ) -> None:
        self._store = store
        self._node = node
        self._live = live
        self._outbound = outbound
        self._observer = observer
        self._max_queued_events = max_queued_events
        self._waiting: list[_Entry] = []
        self._queued_events = 0
        self._queued_bytes = 0
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._refusing: str | None = None

    # -- for the publish route

    def publish(self, business_id: int, drafts: Sequence[Draft]) -> asyncio.Future[list[Accepted]]:
        """Put one request's events, all or none, into the open batch; done when they are on disk.

        Raises Unavailable (queue full, draining). The future may end in Unavailable (the database is
        away), NotFound, BusinessDisabled, Poisoned; who no longer waits for it changes nothing.
        """
        if self._refusing is not None:
            raise Unavailable(self._refusing)
        size = sum([len(draft.message.data) for draft in drafts])
        if self._queued_events and not self._has_room(len(drafts), size):
            raise Unavailable("too many events are waiting to be committed")
        answer: asyncio.Future[list[Accepted]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(business_id, drafts, size, answer, perf_counter()))
        self._queued_events += len(drafts)
        self._queued_bytes += size
        self._idle.clear()
        self._some.set()
        return answer

    def _has_room(self, events: int, size: int) -> bool:
        return (
            self._queued_events + events <= self._max_queued_events
            and self._queued_bytes + size <= MAX_QUEUED_BYTES
        )

    @property
    def queued_events(self) -> int:
        return self._queued_events

    # -- life

    async def run(self) -> None:
        busy = False
        while True:
            await self._some.wait()
            if busy:
                await asyncio.sleep(GATHER_SECONDS)
            entries = self._next_entries()
            busy = len(entries) >= BUSY_REQUESTS
            try:
                await self._commit(entries)
            except StoreBroken:
                # Committed or not, nobody knows: no answer is the only true one. The process ends, and
                # a drain under way has nothing to wait for.
                self._idle.set()
                raise
            except Exception as error:  # noqa: BLE001 - the top of the loop
                self._observer.trouble("ingest", error)
                _fail(entries, Unavailable("the event could not be committed; publish it again"))
            finally:
                self._queued_events -= sum([len(entry.drafts) for entry in entries])
                self._queued_bytes -= sum([entry.size for entry in entries])
            if not self._waiting:
                self._some.clear()
                self._idle.set()

    async def drain(self, reason: str) -> None:
        """Refuse new publishes, commit those that wait."""
        self._refusing = reason
        await self._idle.wait()

    def _next_entries(self) -> list[_Entry]:
        events = count = 0
        for entry in self._waiting:
            events += len(entry.drafts)
            if count and events > MAX_BATCH_EVENTS:
                break
            count += 1
        entries, self._waiting = self._waiting[:count], self._waiting[count:]
        return entries

    # -- one batch

    async def _commit(self, entries: list[_Entry]) -> None:
        while entries:
            batch = self._match(entries)
            if not batch.entries:
                return
            try:
                failpoint.reach("before_accept")
                answers = await self._store.accept(
                    batch.publishes, batch.snapshot.version, self._node, batch.now
                )
            except StaleSnapshot:
                self._give_back(batch.publishes)
                await self._live.catch_up()
                entries = batch.entries
                continue
            except StoreUnavailable as error:
                self._give_back(batch.publishes)
                self._outbound.store_unavailable(error)
                _fail(batch.entries, Unavailable("the database cannot commit now; publish again"))
                return
            except BaseException:
                self._give_back(batch.publishes)
                raise
            self._committed(batch, answers)
            return

    def _match(self, entries: Sequence[_Entry]) -> _Batch:
        batch = _Batch(self._live.current, self._store.now())
        for entry in entries:
            try:
                view = open_business(batch.snapshot, entry.business_id)
            except RingbackError as error:
                _fail([entry], error)
                continue
            batch.entries.append(entry)
            batch.publishes.append(tuple([self._new_event(view, draft, batch.now) for draft in entry.drafts]))
        return batch

    def _new_event(self, view: BusinessView, draft: Draft, now: int) -> NewEvent:
        take = self._outbound.take
        return NewEvent(
            message=draft.message,
            generated=draft.generated,
            targets=tuple(
                [
                    Target(integration_id=one.integration_id, direct=take(one, now))
                    for one in view.match(draft.message.event_type)
                ]
            ),
            schema_errors=draft.schema_errors,
        )

    def _committed(self, batch: _Batch, answers: Sequence[list[Accepted] | Poisoned]) -> None:
        """Answers first: what is committed must be answered so, whatever goes wrong afterwards."""
        for entry, answer in zip(batch.entries, answers, strict=True):
            _settle(entry, answer)
        leases: list[Leased] = []
        for entry, publish, answer in zip(batch.entries, batch.publishes, answers, strict=True):
            if isinstance(answer, Poisoned):
                self._give_back([publish])
            else:
                self._place(entry, publish, answer, batch.now, leases)
        self._observer.accepted_batch(sum(len(publish) for publish in batch.publishes))
        self._hand_over(leases)
        self._outbound.wake()

    def _place(
        self,
        entry: _Entry,
        publish: Publish,
        answer: Sequence[Accepted],
        now: int,
        leases: list[Leased],
    ) -> None:
        """Append one request's direct deliveries to `leases`."""
        waited_ms = (perf_counter() - entry.arrived) * 1000
        for new, accepted in zip(publish, answer, strict=True):
            if accepted.duplicate:
                self._give_back([(new,)])
            else:
                leases.extend(_leases_of(new, accepted, now))
            self._observer.accepted(
                new.message,
                accepted.delivery_ids,
                duplicate=accepted.duplicate,
                schema_errors=new.schema_errors,
                at=now,
                waited_ms=waited_ms,
            )

    def _hand_over(self, leases: Sequence[Leased]) -> None:
        """What can't be started here is committed all the same: upkeep finds its lease and sends it back."""
        pending = deque(leases)
        try:
            failpoint.reach("after_commit")
            while pending:
                self._outbound.start(pending.popleft())
            failpoint.reach("after_hand_over")
        finally:
            for leased in pending:
                self._outbound.give_back(leased.integration_id)

    def _give_back(self, publishes: Sequence[Publish]) -> None:
        for publish in publishes:
            for new in publish:
                for target in new.targets:
                    if target.direct:
                        self._outbound.give_back(target.integration_id)


def _leases_of(new: NewEvent, accepted: Accepted, now: int) -> list[Leased]:
    return [
        Leased(
            delivery_id=accepted.row_id + place,
            integration_id=target.integration_id,
            message=new.message,
            attempts=0,
            tries=0,
            due_at=now,
            created_at=now,
        )
        for place, target in enumerate(new.targets, start=1)
        if target.direct
    ]


def open_business(snapshot: Snapshot, business_id: int) -> BusinessView:
    """Raises NotFound, BusinessDisabled."""
    view = snapshot.businesses.get(business_id)
    if view is None:
        raise NotFound(f"there is no business {business_id}")
    if not view.business.enabled:
        raise BusinessDisabled(f"business {business_id} is disabled: nothing is accepted for it")
    return view


def _settle(entry: _Entry, answer: list[Accepted] | Poisoned) -> None:
    if entry.answer.done():
        return
    if isinstance(answer, Poisoned):
        entry.answer.set_exception(answer)
    else:
        entry.answer.set_result(answer)


def _fail(entries: Sequence[_Entry], error: RingbackError) -> None:
    for entry in entries:
        if not entry.answer.done():
            entry.answer.set_exception(error)
