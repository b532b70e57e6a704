"""The sink itself: takes requests in, counts them, remembers them, answers as it was told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Self, TextIO

import msgspec

from ringback.errors import ConfigurationError
from ringback.model import Value
from ringback.signing import SigningKey
from ringback.sink.behaviour import Behaviour, Plan
from ringback.sink.connection import Connection
from ringback.sink.signatures import problem_with_signatures

# EventIds remembered to tell repeats apart; beyond it the oldest are forgotten.
REMEMBERED_EVENTS = 1_000_000


class Received(Value, frozen=True, kw_only=True):
    """One request. `problem`: why its signatures were refused; `verified` is None where nothing was checked.

    `times_seen` counts this event's requests, this one included; `status` None: the connection was cut.
    """

    at: float
    event_id: str
    event_type: str
    attempt: int
    verified: bool | None
    problem: str | None
    times_seen: int
    status: int | None
    headers: dict[str, str]
    body: bytes


class Counts(msgspec.Struct):
    """`received` = `answered_well` + `failed_on_purpose` + `bad_signatures`; bad ones are not looked into."""

    received: int = 0
    unique: int = 0
    repeated: int = 0
    answered_well: int = 0
    failed_on_purpose: int = 0
    bad_signatures: int = 0

    def add(self, one: Received, on_purpose: bool) -> None:
        self.received += 1
        if one.problem is not None:
            self.bad_signatures += 1
            return
        self.unique += one.times_seen == 1
        self.repeated += one.times_seen > 1
        self.failed_on_purpose += on_purpose
        self.answered_well += not on_purpose


class Sink:
    """A listening receiver. `behaviour` and `secrets` may be set anew while it runs.

    `ledger` gets a line per trusted request, `EventId attempt status`, before the answer goes out
    (status 0: cut). `keep` holds on to every request in `received`; without it only `counts` remain.
    """

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        secrets: Sequence[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        ledger: TextIO | None = None,
        keep: bool = True,
        on_received: Callable[[Received], None] | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.secrets = secrets
        self.received: list[Received] = []
        self.counts = Counts()
        self._address = (host, port)
        self._random = Random(seed)
        self._ledger = ledger
        self._keep = keep
        self._on_received = on_received
        self._times_seen: dict[str, int] = {}
        self._connections: set[Connection] = set()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._server: asyncio.Server | None = None

    @property
    def secrets(self) -> Sequence[str]:
        """What deliveries may be signed with; empty: not checked."""
        return self._secrets

    @secrets.setter
    def secrets(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(secrets)
        self._keys = [SigningKey(secret) for secret in secrets]

    @property
    def url(self) -> str:
        host, port = self._address
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Raises ConfigurationError where the address is taken."""
        host, port = self._address
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, host, port, backlog=1024)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self._address = (host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and hang up on everyone."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.hang_up()
        await self._server.wait_closed()
        self._server = None

    async def wait_for(self, count: int, timeout: float = 30.0) -> Sequence[Received]:
        """The first `count` requests or more, as soon as they are there. Raises TimeoutError."""
        if self.counts.received < count:
            reached = asyncio.get_running_loop().create_future()
            self._waiting.append((count, reached))
            await asyncio.wait_for(reached, timeout)
        return self.received

    def judge(self, headers: dict[str, str], body: bytes) -> Plan:
        """Take a request in, and say how to answer it."""
        now = time.time()
        problem = problem_with_signatures(self._keys, headers, body, now) if self._keys else None
        event_id, event_type = headers.get("webhook-id", "?"), _event_type_of(body)
        times_seen = 0 if problem else self._see(event_id)
        plan = (
            Plan(status=HTTPStatus.UNAUTHORIZED) if problem else self.behaviour.plan(times_seen, self._random)
        )
        self._take(
            Received(
                at=now,
                event_id=event_id,
                event_type=event_type,
                attempt=_number(headers.get("webhook-attempt", "")),
                verified=problem is None if self._keys else None,
                problem=problem,
                times_seen=times_seen,
                status=plan.status,
                headers=headers,
                body=body,
            ),
            plan.on_purpose,
        )
        return plan

    def _connect(self) -> Connection:
        return Connection(self.judge, self._connections)

    def _see(self, event_id: str) -> int:
        times = self._times_seen.get(event_id, 0) + 1
        self._times_seen[event_id] = times
        if len(self._times_seen) > REMEMBERED_EVENTS:
            del self._times_seen[next(iter(self._times_seen))]
        return times

    def _take(self, one: Received, on_purpose: bool) -> None:
        self.counts.add(one, on_purpose)
        if self._keep:
            self.received.append(one)
        if self._ledger is not None and one.problem is None:
            self._ledger.write(f"{one.event_id} {one.attempt} {one.status or 0}\n")
            self._ledger.flush()
        if self._on_received is not None:
            self._on_received(one)
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        still_waiting = []
        for count, reached in self._waiting:
            if self.counts.received < count:
                still_waiting.append((count, reached))
            elif not reached.done():
                reached.set_result(None)
        self._waiting = still_waiting


class _Envelope(msgspec.Struct):
    """The two names that bodies have for the event's type."""

    EventType: str | None = None
    type: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def _event_type_of(body: bytes) -> str:
    try:
        envelope: _Envelope = _decode_envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "?"
    return envelope.EventType or envelope.type or "?"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
