"""One node: its parts, how they know of one another, and in which order they start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from functools import partial
from importlib.metadata import version

import structlog

from ringback.config import Settings
from ringback.engine.attempt import Attempts
from ringback.engine.loop import Engine
from ringback.engine.pace import Pace
from ringback.engine.retention import Retention
from ringback.engine.test_sends import TestSends
from ringback.errors import StoreError
from ringback.ingest import Ingest
from ringback.keyring import KeyRing
from ringback.masterkey import follow_keys
from ringback.model import Node
from ringback.neighbours import Neighbours
from ringback.observe import Feed, Metrics, Observer, WideLog
from ringback.observe.together import Family, Together, families_of
from ringback.send import Sender
from ringback.service.agreement import Agreement
from ringback.service.ended import Ended
from ringback.service.first_start import ensure_operator_key
from ringback.service.opening import opened_store, proven_keys
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Keep, Store

FOLLOW_SECONDS = 0.5
FOLLOW_KEYS_SECONDS = 2.0
VERSION = version("ringback")

log = structlog.get_logger("ringback")


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings, ended: Ended, wide: WideLog | None, process: int | None = None
) -> AsyncIterator[Service]:
    """Everything but HTTP, started; closed in the opposite order.

    `process`: its number among several, for which `prepare` has made what a first start makes.
    """
    async with opened_store(settings, ended.because) as store:
        keyring = await proven_keys(settings, store)
        if process is None:
            await ensure_operator_key(store, settings.api_key_text)
        node = await store.join(store.now())
        service = Service(settings, store, keyring, node, wide, process)
        try:
            await service.start(ended)
            yield service
        finally:
            await service.stop()
            with contextlib.suppress(StoreError):
                await store.leave(node)


class Service:
    """One node's parts, and the verbs that span them."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        keyring: KeyRing,
        node: Node,
        wide: WideLog | None,
        process: int | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.keyring = keyring
        self.node = node
        self.keep = _keep(settings)
        self.unready: str | None = "starting"
        self.metrics = Metrics()
        self.live = LiveSnapshot(store)
        self.sender = Sender(allow_loopback=settings.dev, ca_file=settings.ca_file, clock=store.now)
        self.feed = Feed(self.metrics)
        self._observer = Observer(self.metrics, wide, feed=self.feed)
        attempts = Attempts(self.sender, keyring, f"ringback/{VERSION}", random.random)
        self.test_sends = TestSends(attempts, store.now)
        self.engine = Engine(store, node, self.live, attempts, self._observer, settings.window)
        self.ingest = Ingest(store, node, self.live, self.engine, self._observer, settings.ingest_queue)
        self._retention = Retention(
            store,
            self.keep,
            self._observer.swept,
            self._observer.swept_all,
            self._observer.trouble,
            Pace().retention,
        )
        self.neighbours = Neighbours(
            settings.nodes_folder,
            node.node_id,
            met=lambda _: self.feed.announce(),
            missed=lambda _: self.feed.missed(),
        )
        self._together: Together | None = None
        if process is not None:
            count = settings.processes or 1
            self._together = Together(self.neighbours, self._numbers, os.getppid(), process, count)
        self._background: list[asyncio.Task[None]] = []

    async def start(self, ended: Ended) -> None:
        await self.store.announce_keys(self.node, self.keyring.key_ids)
        self.live.listen(self.feed.configured)
        await self.live.catch_up()
        await self.engine.run(ended.because)
        trouble = self._observer.trouble
        self._meet_neighbours()
        loops = {
            "ingest": self.ingest.run(),
            "follow": self.live.follow(FOLLOW_SECONDS, partial(trouble, "follow")),
            "keys": follow_keys(
                self.keyring, self.store, self.node, FOLLOW_KEYS_SECONDS, partial(trouble, "keys")
            ),
            "retention": self._retention.run(),
            "feed": self.feed.run(trouble),
            "neighbours": self.neighbours.run(self.feed.announce),
        }
        for name, work in loops.items():
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(ended.task_done)
            self._background.append(task)

    def _meet_neighbours(self) -> None:
        self.neighbours.on("feed", lambda _, batch: self.feed.hear(batch))
        self.feed.on_batch = partial(self.neighbours.tell, "feed")
        self.live.elsewhere = Agreement(self.neighbours, self._newest_version).reach
        try:
            self.neighbours.open()
        except OSError as error:
            # Live updates and numbers are then this process' own.
            self._observer.trouble("neighbours", error)

    async def _newest_version(self) -> int:
        return (await self.live.catch_up()).version

    async def drain(self) -> None:
        self.unready = "draining"
        log.info("draining", in_flight=self.engine.in_flight)
        self.feed.close()
        await self._stop("retention")
        await self.ingest.drain("this node is stopping; publish to another, or again in a moment")
        await self.engine.drain(self.settings.drain_seconds)

    async def stop(self) -> None:
        await self._stop(*(task.get_name() for task in self._background))
        self.neighbours.close()
        await self.engine.stop()
        await self.sender.close()

    async def _stop(self, *names: str) -> None:
        stopping = [task for task in self._background if task.get_name() in names]
        for task in stopping:
            task.cancel()
        await asyncio.gather(*stopping, return_exceptions=True)

    def why_unready(self) -> str | None:
        if self.unready is not None:
            return self.unready
        return None if self.engine.can_commit else "the database cannot commit"

    async def exposition(self) -> tuple[str, bytes]:
        if self._together is not None:
            return await self._together.exposition()
        self._measure()
        return self.metrics.exposition()

    def _numbers(self) -> list[Family]:
        self._measure()
        return families_of(self.metrics)

    def _measure(self) -> None:
        gauge = self.metrics.gauge
        gauge("ringback_in_flight", "Deliveries this node is busy with.", self.engine.in_flight)
        gauge("ringback_window_in_use", "Slots of the window in use.", self.engine.lanes.window_in_use)
        gauge("ringback_ingest_queue_events", "Events waiting for their commit.", self.ingest.queued_events)
        gauge("ringback_open_circuits", "Lanes with an open circuit.", self.engine.lanes.open_circuits)
        gauge("ringback_streams_open", "Streams of live updates.", self.feed.streams)
        gauge("ringback_log_lines_dropped", "Lines that were not written.", self._observer.dropped)


def _keep(settings: Settings) -> Keep:
    return Keep(
        payloads=settings.payload_days,
        attempts=settings.attempt_days,
        held=settings.hold_days,
        audit=settings.audit_days,
        minute_stats=settings.minute_stats_days,
        hour_stats=settings.hour_stats_days,
    )
