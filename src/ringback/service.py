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
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from ringback.catalog import warm_up
from ringback.config import Settings
from ringback.engine.attempt import Attempts
from ringback.engine.loop import Engine
from ringback.errors import ConfigurationError, StoreError
from ringback.first_start import ensure_operator_key, make_data_directory
from ringback.ingest import Ingest
from ringback.keyring import KeyRing
from ringback.masterkey import proven_keyring
from ringback.match import EMPTY
from ringback.model import Node
from ringback.observe import Metrics, Observer, WideLog, configure_logging
from ringback.send import Sender
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore

if TYPE_CHECKING:
    import uvicorn

FOLLOW_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 75
LAST_ANSWERS_SECONDS = 3
BACKLOG = 2_048
GC_THRESHOLDS = (50_000, 20, 50)
VERSION = version("ringback")

log = structlog.get_logger("ringback")


def run(settings: Settings) -> int:
    """Serve until a signal; the process' exit code. Raises ConfigurationError, StoreError."""
    import uvloop

    _allow_many_files()
    human = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    configure_logging(sys.stderr, human=human, level=settings.log_level)
    wide = WideLog(sys.stderr, human=human) if settings.log_level in ("debug", "info") else None
    try:
        with (
            listen(settings.host, settings.port) as listener,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(serve(settings, listener, wide))
    finally:
        if wide is not None:
            wide.close()


async def serve(settings: Settings, listener: socket.socket, wide: WideLog | None) -> int:
    """Run one node on an open socket until SIGTERM or SIGINT, or until something breaks."""
    ended = Ended()
    async with open_service(settings, ended, wide) as service:
        server = _http_server(service)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        serving.add_done_callback(ended.task_done)
        warm_up()
        _spare_the_collector()
        service.unready = None
        log.info("ready", address=f"http://{settings.host}:{listener.getsockname()[1]}", version=VERSION)
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
        self, settings: Settings, store: Store, keyring: KeyRing, node: Node, wide: WideLog | None
    ) -> None:
        self.settings = settings
        self.store = store
        self.keyring = keyring
        self.node = node
        self.unready: str | None = "starting"
        self.metrics = Metrics()
        self.live = LiveSnapshot(store)
        self.sender = Sender(allow_loopback=settings.dev, ca_file=settings.ca_file, clock=store.now)
        self._observer = Observer(self.metrics, wide)
        attempts = Attempts(self.sender, keyring, f"ringback/{VERSION}", random.random)
        self.engine = Engine(store, node, self.live, attempts, self._observer, settings.window)
        self.ingest = Ingest(store, node, self.live, self.engine, self._observer, settings.ingest_queue)
        self._background: list[asyncio.Task[None]] = []

    async def start(self, ended: Ended) -> None:
        await self.live.refresh()
        await self.engine.run(ended.because)
        following = self.live.follow(FOLLOW_SECONDS, lambda error: self._observer.trouble("follow", error))
        for name, work in (("ingest", self.ingest.run()), ("follow", following)):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(ended.task_done)
            self._background.append(task)

    async def drain(self) -> None:
        self.unready = "draining"
        log.info("draining", in_flight=self.engine.in_flight)
        await self.ingest.drain("this node is stopping; publish to another, or again in a moment")
        await self.engine.drain(self.settings.drain_seconds)

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.engine.stop()
        await self.sender.close()

    def why_unready(self) -> str | None:
        if self.unready is not None:
            return self.unready
        return None if self.engine.can_commit else "the database cannot commit"

    def exposition(self) -> tuple[str, bytes]:
        gauge = self.metrics.gauge
        gauge("ringback_in_flight", "Deliveries this node is busy with.", self.engine.in_flight)
        gauge("ringback_window_in_use", "Slots of the window in use.", self.engine.lanes.window_in_use)
        gauge("ringback_ingest_queue_events", "Events waiting for their commit.", self.ingest.queued_events)
        gauge("ringback_open_circuits", "Lanes with an open circuit.", self.engine.lanes.open_circuits)
        gauge("ringback_log_lines_dropped", "Lines that were not written.", self._observer.dropped)
        return self.metrics.exposition()


@contextlib.asynccontextmanager
async def open_service(settings: Settings, ended: Ended, wide: WideLog | None) -> AsyncIterator[Service]:
    """Everything but HTTP, started; closed in the opposite order."""
    make_data_directory(settings.data)
    store = await SqliteStore.open(settings.database_path, on_broken=ended.because)
    try:
        snapshot = await store.snapshot(EMPTY)
        keyring = proven_keyring(settings.master_key_text, settings.key_file, snapshot)
        api_key = None if settings.api_key is None else settings.api_key.get_secret_value()
        await ensure_operator_key(store, api_key)
        node = await store.join(store.now())
        service = Service(settings, store, keyring, node, wide)
        try:
            await service.start(ended)
            yield service
        finally:
            await service.stop()
            with contextlib.suppress(StoreError):
                await store.leave(node)
    finally:
        await store.close()


def _spare_the_collector() -> None:
    """What is there now stays; what an event needs is mostly free of cycles and gone in milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _allow_many_files() -> None:
    """Connections of publishers and to receivers: as many as the machine lets a process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int) -> socket.socket:
    """Bound before anything else is opened, so that a taken port is said at once."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose others with --host and --port"
        ) from None
    listener.setblocking(False)
    return listener


def _http_server(service: Service) -> uvicorn.Server:
    import uvicorn

    from ringback.api.app import App
    from ringback.api.context import Context
    from ringback.api.protocol import with_publishing
    from ringback.api.publish import Publishing

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
    )

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
