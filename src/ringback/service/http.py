"""The HTTP server of a node."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ringback.listening import BACKLOG
from ringback.service.node import VERSION, Service

if TYPE_CHECKING:
    import uvicorn

KEEP_ALIVE_SECONDS = 75
LAST_ANSWERS_SECONDS = 3


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
        attempt_test=service.test_sends.attempt,
        wake=service.engine.wake,
        unready=service.why_unready,
        metrics=service.exposition,
        dev=settings.dev,
        version=VERSION,
        max_event_bytes=settings.max_event_bytes,
        keep=service.keep,
        feed=service.feed,
        public_url=settings.public_url,
        trusted_proxies=settings.proxy_networks,
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
