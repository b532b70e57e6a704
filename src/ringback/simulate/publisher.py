"""Publishing a stream of events until each is acknowledged: the same EventId on every try."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import httpx
import msgspec

from ringback.envelope import iso_time
from ringback.errors import (
    ConfigurationError,
    InvalidApiKey,
    NotFound,
    PermissionDenied,
    RingbackError,
    Unavailable,
)
from ringback.model import Value
from ringback.simulate.calls import TimedEvent

# One request per event up to this rate; above it, what falls due together goes together.
SINGLE_EVENTS_PER_SECOND = 100
MAX_BATCH = 500
REQUESTS_AT_ONCE = 16
FIRST_CONTACT_SECONDS = 10.0
REQUEST_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0

ACCEPTED = 202
_LAST_PORT = 65_535
_FATAL: dict[int, tuple[type[RingbackError], str]] = {
    401: (InvalidApiKey, "the server does not know this API key"),
    403: (PermissionDenied, "this API key may not publish to this business"),
    404: (NotFound, "there is no such business"),
}
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


class Destination(Value, frozen=True, kw_only=True):
    url: str
    api_key: str
    business: int

    def __repr__(self) -> str:
        return f"Destination({self.url}, business {self.business})"


class Tally(msgspec.Struct):
    """Events, except `retries` (requests sent again). `unanswered`: given up when told to stop."""

    acknowledged: int = 0
    duplicates: int = 0
    refused: int = 0
    unanswered: int = 0
    retries: int = 0
    last_refusal: str | None = None


class Publisher:
    """At most REQUESTS_AT_ONCE requests are open, so a slow server slows the stream down.

    `ledger` gets a line with each EventId as soon as it is acknowledged. `patience`: how many seconds a
    server may take to be there at all.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        batching: bool = False,
        ledger: TextIO | None = None,
        patience: float = FIRST_CONTACT_SECONDS,
    ) -> None:
        self.tally = Tally()
        self._path = f"/api/v1/business/{destination.business}/events"
        self._client = httpx.AsyncClient(
            base_url=_checked(destination.url),
            headers={"Authorization": f"Token {destination.api_key}", "Content-Type": "application/json"},
            limits=httpx.Limits(max_connections=REQUESTS_AT_ONCE),
            timeout=REQUEST_SECONDS,
            trust_env=False,
        )
        self._batching = batching
        self._ledger = ledger
        self._patience = patience
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Publish nothing new; what is open is waited for, and not sent again."""
        self._stopping.set()

    async def run(self, events: Iterator[TimedEvent]) -> Tally:
        """Publish each event when it is due.

        Raises InvalidApiKey, PermissionDenied, NotFound where the server says so, Unavailable without one
        or with one that is no ringback.
        """
        async with self._client:
            await self._reach()
            try:
                async with asyncio.TaskGroup() as group:
                    await self._publish_all(events, group)
            except* RingbackError as errors:
                raise errors.exceptions[0] from None
        return self.tally

    async def _reach(self) -> None:
        """Any answer will do; a server that is just starting is waited for."""
        deadline = time.monotonic() + self._patience
        while not self._stopping.is_set():
            try:
                await self._client.get("/health/live")
            except httpx.RequestError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"cannot reach {self._client.base_url}: {error}") from None
                await self._pause(FIRST_PAUSE)
            else:
                return

    async def _publish_all(self, events: Iterator[TimedEvent], group: asyncio.TaskGroup) -> None:
        event = next(events, None)
        while event is not None and not self._stopping.is_set():
            await self._pause(event.due / 1_000 - time.time())
            await self._slots.acquire()
            if self._stopping.is_set():
                return
            batch = [event]
            event = next(events, None)
            while event is not None and self._goes_along(event, len(batch)):
                batch.append(event)
                event = next(events, None)
            group.create_task(self._publish(batch))

    def _goes_along(self, event: TimedEvent, with_others: int) -> bool:
        return self._batching and with_others < MAX_BATCH and event.due <= time.time() * 1_000

    async def _publish(self, batch: Sequence[TimedEvent]) -> None:
        try:
            body = _body(batch)
            pause = FIRST_PAUSE
            while not await self._attempt(batch, body):
                if self._stopping.is_set():
                    self.tally.unanswered += len(batch)
                    return
                self.tally.retries += 1
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._slots.release()

    async def _attempt(self, batch: Sequence[TimedEvent], body: bytes) -> bool:
        """Whether that was an answer to keep: acknowledged or refused for good."""
        try:
            response = await self._client.post(self._path, content=body)
        except httpx.RequestError:
            return False
        if response.status_code in _TRY_AGAIN:
            return False
        if response.status_code == ACCEPTED:
            self._acknowledge(batch, response)
        else:
            self._refuse(batch, response)
        return True

    def _acknowledge(self, batch: Sequence[TimedEvent], response: httpx.Response) -> None:
        self.tally.acknowledged += len(batch)
        self.tally.duplicates += _duplicates_in(response.content)
        if self._ledger is not None:
            self._ledger.write("".join(f"{event.event_id}\n" for event in batch))
            self._ledger.flush()

    def _refuse(self, batch: Sequence[TimedEvent], response: httpx.Response) -> None:
        refusal = _refusal_in(response)
        if refusal is None:
            raise Unavailable(_no_server(response))
        fatal = _FATAL.get(response.status_code)
        if fatal is not None:
            kind, message = fatal
            raise kind(f"{message}: {refusal.Message}" if refusal.Message else message)
        self.tally.refused += len(batch)
        self.tally.last_refusal = f"{response.status_code} {response.text[:300]}"

    async def _pause(self, seconds: float) -> None:
        """Cut short when told to stop."""
        if seconds <= 0:
            return
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _checked(url: str) -> httpx.URL:
    """Raises ConfigurationError where it is no address of a server."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"the server's address is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > _LAST_PORT:
        raise ConfigurationError(f"the server's address must be as http://127.0.0.1:8400, not {url}")
    return parsed


class _Refusal(msgspec.Struct):
    Message: str | None = None


_decode_refusal = msgspec.json.Decoder(_Refusal).decode


def _refusal_in(response: httpx.Response) -> _Refusal | None:
    """Whoever knows publishes refuses one with an object; web servers have pages for it, or redirect."""
    try:
        return _decode_refusal(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _no_server(response: httpx.Response) -> str:
    request, moved = response.request, response.headers.get("location")
    sends_to = f" to {moved}" if moved else ""
    return (
        f"what listens there is no ringback server: {request.method} {request.url} was answered"
        f" {response.status_code}{sends_to}, and not as ringback answers"
    )


class _Ack(msgspec.Struct):
    Duplicate: bool = False


class _Answer(msgspec.Struct):
    Data: _Ack | list[_Ack]


_decode_answer = msgspec.json.Decoder(_Answer).decode


def _duplicates_in(answer: bytes) -> int:
    """What kind of answer a foreign server gives does not matter: its 202 does."""
    try:
        acks = _decode_answer(answer).Data
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return sum(ack.Duplicate for ack in (acks if isinstance(acks, list) else [acks]))


def _body(batch: Sequence[TimedEvent]) -> bytes:
    frames: list[dict[str, Any]] = [
        {
            "EventType": event.event_type,
            "EventId": event.event_id,
            "Timestamp": iso_time(event.timestamp),
            "Data": event.data,
        }
        for event in batch
    ]
    return msgspec.json.encode(frames if len(frames) > 1 else frames[0])
