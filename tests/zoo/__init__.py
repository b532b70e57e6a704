"""A zoo of receivers on real sockets, tame and hostile, in threads of its own.

    with Zoo() as zoo:
        zoo.url("status/503?Retry-After=7")   # that status, with that header
        zoo.url("gate/a")                     # 200, once zoo.open_gate("a") was called
        zoo.tls_url("expired")                # the same paths behind TLS, good or bad
        zoo.received                          # every request, whole, in the order it came

Paths: `ok`, `status/CODE`, `says/CODE` (with a reason as JSON), `page/NAME` (of `pages`), `verified`
(checks the signature with the `standardwebhooks` package), `script/NAME` (the statuses given to
`zoo.script`), `gate/NAME`, `never`, `drip`, `drip-headers`, `reset`, `reset-half`, `hang-up`, `half`,
`half-chunk`, `half-headers`, `flood`, `flood-chunked`, `body/BYTES`, `huge-headers`, `endless-headers`,
`endless-interim`, `odd-headers`, `last-answer` (then closes), `too-long` (more than its Content-Length
says), `garbage`, `interim`, `trailers`.
A query's parameters become headers of the answer.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import trustme
from standardwebhooks import Webhook, WebhookVerificationError

from tests.zoo.behaviours import BEHAVIOURS, Visit, answer_in_plain_text, reset_at_once
from tests.zoo.wire import HOST, Received, head, read_request, serve_http2, tls_context

PATIENCE = 20.0


class Zoo:
    """`secret` is what `verified` checks signatures with. Tests end only with the zoo closed."""

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._gates: dict[str, threading.Event] = {}
        self._scripts: dict[str, list[int]] = {}
        self._closing = threading.Event()
        self._listeners: dict[str, socket.socket] = {}
        self._accepted: Counter[str] = Counter()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._folder = tempfile.TemporaryDirectory()
        self._authority = trustme.CA()
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def __enter__(self) -> Self:
        self._listen("plain", self._serve)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        for gate in self._gates.values():
            gate.set()
        for open_socket in [*self._listeners.values(), *self._connections]:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._folder.cleanup()

    # ------------------------------------------------------------ addresses

    def url(self, path: str = "ok", host: str = HOST) -> str:
        return f"http://{host}:{self.port}/{path}"

    @property
    def port(self) -> int:
        return self._port("plain")

    def tls_url(self, kind: str = "good", path: str = "ok", host: str = HOST) -> str:
        """Kinds: `good`, `expired`, `untrusted`, `self-signed`, `not-yet`, `wrong-name`, `http2`; `plain` (no
        TLS at all), `silent`, `expired-once` (then silent).
        """
        name = f"tls-{kind}"
        if name not in self._listeners:
            others = {
                "plain": answer_in_plain_text,
                "silent": self._keep_silent,
                "expired-once": self._silent_after(self._behind_tls("expired")),
            }
            self._listen(name, others.get(kind) or self._behind_tls(kind))
        return f"https://{host}:{self._port(name)}/{path}"

    def tls_connections(self, kind: str) -> int:
        """How many came to `tls_url(kind)`."""
        return self._accepted[f"tls-{kind}"]

    def resetting_url(self) -> str:
        """Resets every connection before anything was read."""
        if "resetting" not in self._listeners:
            self._listen("resetting", reset_at_once)
        return f"http://{HOST}:{self._port('resetting')}/"

    def full_url(self) -> str:
        """Answers no connection: its queue of them is full."""
        if "full" not in self._listeners:
            self._listeners["full"] = listener = socket.create_server((HOST, 0), backlog=0)
            for _ in range(4):
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
                self._connections.add(waiting)
        return f"http://{HOST}:{self._port('full')}/"

    def closed_url(self) -> str:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
        return f"http://{HOST}:{port}/"

    # ------------------------------------------------------------ what came, and what to do

    @property
    def received(self) -> list[Received]:
        with self._changed:
            return list(self._received)

    def received_at(self, path: str) -> list[Received]:
        return [one for one in self.received if one.path == f"/{path}"]

    def wait_for(self, count: int, path: str | None = None) -> list[Received]:
        """Blocks until that many requests came (at that path): call it in a thread beside a loop."""

        def matching() -> list[Received]:
            return [one for one in self._received if path is None or one.path == f"/{path}"]

        with self._changed:
            if not self._changed.wait_for(lambda: len(matching()) >= count, PATIENCE):
                raise TimeoutError(f"{len(matching())} of {count} requests came")
            return matching()

    def script(self, name: str, *statuses: int) -> str:
        """The URL that answers with these in turn, then with the last one for ever."""
        self._scripts[name] = list(statuses)
        return self.url(f"script/{name}")

    def open_gate(self, name: str) -> None:
        self._gate(name).set()

    def _gate(self, name: str) -> threading.Event:
        with self._changed:
            return self._gates.setdefault(name, threading.Event())

    # ------------------------------------------------------------ connections

    def _port(self, kind: str) -> int:
        return int(self._listeners[kind].getsockname()[1])

    def _listen(self, kind: str, serve: Callable[[socket.socket], None]) -> None:
        self._listeners[kind] = listener = socket.create_server((HOST, 0), backlog=512)
        self._spawn(self._accept, kind, listener, serve)

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, kind: str, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._accepted[kind] += 1
                self._connections.add(connection)
                self._spawn(self._attend, connection, serve)

    def _attend(self, connection: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(connection)
        self._connections.discard(connection)

    def _behind_tls(self, kind: str) -> Callable[[socket.socket], None]:
        context = tls_context(self._authority, kind)

        def serve(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secured:
                self._connections.add(secured)
                if secured.selected_alpn_protocol() == "h2":
                    serve_http2(secured)
                else:
                    self._serve(secured)

        return serve

    def _silent_after(self, serve: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
        served = threading.Lock()

        def serve_once(connection: socket.socket) -> None:
            (serve if served.acquire(blocking=False) else self._keep_silent)(connection)

        return serve_once

    def _keep_silent(self, _connection: socket.socket) -> None:
        self._closing.wait()

    def _serve(self, connection: socket.socket) -> None:
        port = connection.getpeername()[1]
        stream = connection.makefile("rb")
        while (request := read_request(stream, port)) is not None:
            with self._changed:
                self._received.append(request)
                self._changed.notify_all()
            if not self._respond(request, connection):
                break
        stream.close()

    def _respond(self, request: Received, connection: socket.socket) -> bool:
        """Whether the connection stays open."""
        parts = urlsplit(request.path)
        name, _, argument = parts.path.lstrip("/").partition("/")
        visit = Visit(request, connection, argument, parse_qsl(parts.query))
        return self._behaviour(name)(visit) is not False

    def _behaviour(self, name: str) -> Callable[[Visit], bool | None]:
        own: dict[str, Callable[[Visit], bool | None]] = {
            "gate": self._wait_at_gate,
            "script": self._follow_script,
            "verified": self._verify,
            "never": self._never,
            "drip": self._drip,
            "drip-headers": self._drip_headers,
        }
        return own.get(name) or BEHAVIOURS[name]

    # ------------------------------------------------------------ behaviours that need the zoo

    def _wait_at_gate(self, visit: Visit) -> None:
        self._gate(visit.argument).wait()
        visit.answer(200)

    def _follow_script(self, visit: Visit) -> None:
        with self._changed:
            statuses = self._scripts[visit.argument]
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        visit.answer(status)

    def _verify(self, visit: Visit) -> None:
        try:
            Webhook(self._secret or "").verify(visit.request.body, dict(visit.request.headers))
        except WebhookVerificationError as error:
            visit.answer(401, str(error).encode())
        else:
            visit.answer(200)

    def _never(self, _visit: Visit) -> bool:
        self._closing.wait()
        return False

    def _drip(self, visit: Visit) -> None:
        visit.write(head(200, ("Content-Length", "1000000")))
        self._drip_for_ever(visit, b"x")

    def _drip_headers(self, visit: Visit) -> None:
        visit.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self._drip_for_ever(visit, b"y")

    def _drip_for_ever(self, visit: Visit, drop: bytes) -> None:
        while not self._closing.wait(0.01):
            visit.write(drop)
