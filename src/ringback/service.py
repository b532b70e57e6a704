"""The composition root: puts the parts together, runs them, and takes them down in the right order.

Drain (SIGTERM, SIGINT): unready, refuse publishes, flush intake, stop claims, finish attempts, record,
release what is left, leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from ringback.agreement import Agreement
from ringback.catalog import warm_up
from ringback.config import Settings
from ringback.ended import Ended
from ringback.engine.attempt import Attempts
from ringback.engine.loop import Engine
from ringback.engine.pace import Pace
from ringback.engine.retention import Retention
from ringback.errors import StoreBroken, StoreError
from ringback.first_start import ensure_operator_key, make_data_directory, welcome_first_owner
from ringback.ingest import Ingest
from ringback.keyring import KeyRing
from ringback.listening import BACKLOG
from ringback.masterkey import follow_keys, proven_keyring
from ringback.match import EMPTY
from ringback.model import Node
from ringback.neighbours import Neighbours
from ringback.observe import Feed, Metrics, Observer, WideLog, configure_logging
from ringback.observe.together import Family, Together, families_of
from ringback.send import Sender
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Keep, Store
from ringback.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import uvicorn

FOLLOW_SECONDS = 0.5
FOLLOW_KEYS_SECONDS = 2.0
KEEP_ALIVE_SECONDS = 75
LAST_ANSWERS_SECONDS = 3
GC_THRESHOLDS = (50_000, 20, 50)
VERSION = version("ringback")

log = structlog.get_logger("ringback")


def run(settings: Settings, listener: socket.socket, process: int | None = None) -> int:
    """Serve until a signal; the exit code. `process`: its number, where several share the port.

    Raises ConfigurationError, StoreError.
    """
    import uvloop

    _allow_many_files()
    human = _say_what_happens(settings, process)
    wide = None
    if settings.log_level in ("debug", "info"):
        wide = WideLog(sys.stderr, human=human, shared=process is not None)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, listener, wide, process))
    finally:
        if wide is not None:
            wide.close()


def prepare(settings: Settings) -> None:
    """All that a first start makes, before several processes begin at once. Raises ConfigurationError."""
    _say_what_happens(settings, None)
    asyncio.run(_prepare(settings))


async def _prepare(settings: Settings) -> None:
    async with _opened_store(settings, None) as store:
        await _prove_and_make_keys(settings, store, first=True)


def _say_what_happens(settings: Settings, process: int | None) -> bool:
    """Set up logging; whether it is for people."""
    human = settings.logs_are_for_people(terminal=sys.stderr.isatty())
    configure_logging(sys.stderr, human=human, level=settings.log_level, process=process)
    return human


async def serve(
    settings: Settings, listener: socket.socket, wide: WideLog | None, process: int | None = None
) -> int:
    """Run one node on an open socket until SIGTERM or SIGINT, or until something breaks."""
    ended = Ended()
    async with open_service(settings, ended, wide, process) as service:
        server = http_server(service)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        serving.add_done_callback(ended.task_done)
        warm_up()
        _spare_the_collector()
        port = listener.getsockname()[1]
        if process in (None, 1):
            await welcome_first_owner(service.store, settings.reached_at(port))
        service.unready = None
        log.info("ready", address=f"http://{settings.host}:{port}", version=VERSION)
        await ended.wait()
        await ended.unless_broken(service.drain())
        server.should_exit = True
        # Broken, no open request can be answered truly; drained, the last ones get a moment.
        server.force_exit = ended.broken is not None
        await serving
    if ended.broken is not None:
        log.critical("stopped", reason=str(ended.broken))
        return 1
    log.info("drained")
    return 0


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
        self.unready: str | None = "starting"
        self.metrics = Metrics()
        self.live = LiveSnapshot(store)
        self.sender = Sender(allow_loopback=settings.dev, ca_file=settings.ca_file, clock=store.now)
        self.feed = Feed(self.metrics)
        self._observer = Observer(self.metrics, wide, feed=self.feed)
        attempts = Attempts(self.sender, keyring, f"ringback/{VERSION}", random.random)
        self.engine = Engine(store, node, self.live, attempts, self._observer, settings.window)
        self.ingest = Ingest(store, node, self.live, self.engine, self._observer, settings.ingest_queue)
        self._retention = Retention(
            store,
            _keep(settings),
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


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings, ended: Ended, wide: WideLog | None, process: int | None = None
) -> AsyncIterator[Service]:
    """Everything but HTTP, started; closed in the opposite order."""
    async with _opened_store(settings, ended.because) as store:
        keyring = await _prove_and_make_keys(settings, store, first=process is None)
        node = await store.join(store.now())
        service = Service(settings, store, keyring, node, wide, process)
        try:
            await service.start(ended)
            yield service
        finally:
            await service.stop()
            with contextlib.suppress(StoreError):
                await store.leave(node)


@contextlib.asynccontextmanager
async def _opened_store(
    settings: Settings, on_broken: Callable[[StoreBroken], None] | None
) -> AsyncIterator[SqliteStore]:
    make_data_directory(settings.data)
    store = await SqliteStore.open(settings.database_path, on_broken=on_broken)
    try:
        yield store
    finally:
        await store.close()


async def _prove_and_make_keys(settings: Settings, store: Store, *, first: bool) -> KeyRing:
    """`first`: no other process has done it for this one."""
    snapshot = await store.snapshot(EMPTY)
    keyring = proven_keyring(settings.master_key_text, settings.key_file, snapshot)
    if first:
        api_key = None if settings.api_key is None else settings.api_key.get_secret_value()
        await ensure_operator_key(store, api_key)
    return keyring


def _keep(settings: Settings) -> Keep:
    return Keep(
        payloads=settings.payload_days,
        attempts=settings.attempt_days,
        held=settings.hold_days,
        audit=settings.audit_days,
        minute_stats=settings.minute_stats_days,
        hour_stats=settings.hour_stats_days,
    )


def _spare_the_collector() -> None:
    """What is there now stays; what an event needs is mostly free of cycles and gone in milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _allow_many_files() -> None:
    """Connections of publishers and to receivers: as many as the machine lets a process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def http_server(service: Service) -> uvicorn.Server:
    import uvicorn

    from ringback.api.app import App
    from ringback.api.context import Context
    from ringback.api.protocol import with_publishing
    from ringback.api.publish import Publishing
    from ringback.api.stream_views import StreamViews

    settings = service.settings
    context = Context(
        store=service.store,
        live=service.live,
        keyring=service.keyring,
        attempt_test=service.engine.attempt_test,
        wake=service.engine.wake,
        unready=service.why_unready,
        metrics=service.exposition,
        dev=settings.dev,
        version=VERSION,
        max_event_bytes=settings.max_event_bytes,
        public_url=settings.public_url,
        trusted_proxies=settings.proxy_networks,
        keep=_keep(settings),
        feed=service.feed,
    )
    service.feed.views = StreamViews(service.store, service.live, service.keyring)
    publishing = Publishing(context, service.ingest, service.metrics.count_refused)

    class Server(uvicorn.Server):
        """Signals are ours: a stop begins with a drain."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server(
        uvicorn.Config(
            App(context, publishing),
            http=with_publishing(publishing),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=LAST_ANSWERS_SECONDS,
            backlog=BACKLOG,
        )
    )
