"""One process, from its first line in the log to its exit code."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import sys

import structlog

from ringback.catalog import warm_up
from ringback.config import Settings
from ringback.observe import WideLog, configure_logging
from ringback.service.ended import Ended
from ringback.service.first_start import ensure_operator_key, welcome_first_owner
from ringback.service.http import http_server
from ringback.service.node import VERSION, open_service
from ringback.service.opening import opened_store, proven_keys

GC_THRESHOLDS = (50_000, 20, 50)

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
    async with opened_store(settings, None) as store:
        await proven_keys(settings, store)
        await ensure_operator_key(store, settings.api_key_text)


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


def _spare_the_collector() -> None:
    """What is there now stays; what an event needs is mostly free of cycles and gone in milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _allow_many_files() -> None:
    """Connections of publishers and to receivers: as many as the machine lets a process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
