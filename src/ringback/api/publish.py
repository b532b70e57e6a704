"""`POST /api/v1/business/{BusinessId}/events`: what a publish is asked and answered, whoever carries it.

Two carriers use it: `protocol` (a request alone on its connection, which nearly every one is) and the
ASGI route at the end of this file (the rest: pipelined, or waiting for a 100 Continue).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from ringback import ids
from ringback.admit import Draft, admit
from ringback.api.answers import Answer, answer_of, new_request_id, success
from ringback.api.auth import authenticate, authorise
from ringback.api.bodies import check_content_type
from ringback.api.context import Context
from ringback.errors import (
    BodyTooLarge,
    FieldError,
    InvalidApiKey,
    InvalidJson,
    InvalidRequest,
    NotFound,
    UnsupportedMediaType,
)
from ringback.ingest import Ingest
from ringback.match import BusinessView
from ringback.model import Scope
from ringback.payloads import MAX_FIELD_ERRORS, Frame, parse_frame
from ringback.people import SignedIn
from ringback.store.port import Accepted

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
RawHeaders = Sequence[tuple[bytes, bytes]]

PATH_PREFIX = "/api/v1/business/"
PATH_SUFFIX = "/events"
MAX_BATCH_BYTES = 8 * 1024 * 1024
# What a frame may add to its Data.
MAX_FRAME_BYTES = 4 * 1024
# An over-large body is read this much further, so that its sender sees the answer.
READ_ON_BYTES = 1024 * 1024
BODY_SECONDS = 30.0
# Enough of a body to see whether it is an array.
START_BYTES = 64
# Parsed apart from the loop and checked in slices, so that no other request waits for it.
LARGE_BODY_BYTES = 256 * 1024
SLICE_EVENTS = 20
# A business' own schemas can take longer: 10 ms for one event.
LARGE_OWN_BODY_BYTES = 8 * 1024
SLICE_OWN_EVENTS = 1
# All bodies that are on their way in, together.
MAX_BODIES_BYTES = 256 * 1024 * 1024


class PublishAnswer(msgspec.Struct, frozen=True, gc=False):
    EventId: str
    Deliveries: int
    Duplicate: bool


class Publishing:
    """A publish in three steps: `open` at its headers, `submit` at its body, `answer` at its commit."""

    def __init__(self, context: Context, ingest: Ingest, refused: Callable[[int], None]) -> None:
        self._context = context
        self._ingest = ingest
        self._refused = refused
        self.bodies = Budget(MAX_BODIES_BYTES)

    def open(self, path: str, headers: RawHeaders, person: SignedIn | None = None) -> BusinessView:
        """`person`: who calls, where it is not a key.

        Raises InvalidApiKey, PermissionDenied, NotFound, BusinessDisabled, UnsupportedMediaType.
        """
        authorization, content_type = _named(headers)
        snapshot = self._context.live.current
        principal = person or authenticate(authorization, snapshot)
        view = authorise(principal, Scope.PUBLISH, _business_id(path), snapshot)
        _check_content_type(content_type)
        return view

    def submit(self, view: BusinessView, body: bytes) -> Submitted:
        """Raises InvalidJson, InvalidRequest, BodyTooLarge, Unavailable."""
        parsed = parse_frame(body)
        batch = isinstance(parsed, list)
        drafts = self._admit(view, parsed if isinstance(parsed, list) else [parsed], batch=batch)
        return Submitted(drafts, batch, self._ingest.publish(view.business.business_id, drafts))

    async def submit_large(self, view: BusinessView, body: bytes) -> Submitted:
        """The same, giving way to others in between."""
        parsed = await asyncio.to_thread(parse_frame, body)
        batch = isinstance(parsed, list)
        frames = parsed if isinstance(parsed, list) else [parsed]
        drafts = await self._admit_in_slices(view, frames, batch=batch)
        return Submitted(drafts, batch, self._ingest.publish(view.business.business_id, drafts))

    async def _admit_in_slices(
        self, view: BusinessView, frames: Sequence[Frame], *, batch: bool
    ) -> list[Draft]:
        drafts: list[Draft] = []
        faults: list[FieldError] = []
        size = SLICE_OWN_EVENTS if view.own_types else SLICE_EVENTS
        for start in range(0, len(frames), size):
            try:
                drafts += self._admit(view, frames[start : start + size], batch=batch, first=start)
            except InvalidRequest as error:
                faults += error.errors
            if len(faults) >= MAX_FIELD_ERRORS:
                break
            await asyncio.sleep(0)
        if faults:
            raise InvalidRequest(*faults)
        return drafts

    def _admit(
        self, view: BusinessView, frames: Sequence[Frame], *, batch: bool, first: int = 0
    ) -> list[Draft]:
        now = self._context.store.now()
        return admit(
            view,
            frames,
            now,
            lambda: ids.event_id(now, os.urandom(ids.EVENT_ID_RANDOM_BYTES)),
            self._context.max_event_bytes,
            first=first if batch else None,
        )

    def refuse(self, error: Exception, request_id: str) -> Answer:
        answer = answer_of(error, request_id)
        self._refused(answer.status)
        return answer

    def max_body(self, start: bytes | bytearray) -> int:
        """How large a body that begins so may be: an array is a batch."""
        if start[:START_BYTES].lstrip()[:1] == b"[":
            return MAX_BATCH_BYTES
        return self._context.max_event_bytes + MAX_FRAME_BYTES


def is_large(view: BusinessView, body: bytes) -> bool:
    """Whether others should get their turn while it is taken in."""
    return len(body) > (LARGE_OWN_BODY_BYTES if view.own_types else LARGE_BODY_BYTES)


class Submitted:
    """Events on their way to the disk; `committed` is done when they are there."""

    __slots__ = ("_batch", "_drafts", "committed")

    def __init__(
        self, drafts: Sequence[Draft], batch: bool, committed: asyncio.Future[list[Accepted]]
    ) -> None:
        self._drafts = drafts
        self._batch = batch
        self.committed = committed

    def answer(self, request_id: str) -> Answer:
        """Once they are committed."""
        accepted = self.committed.result()
        answers = [
            PublishAnswer(draft.message.event_id, one.deliveries, one.duplicate)
            for draft, one in zip(self._drafts, accepted, strict=True)
        ]
        return success(answers if self._batch else answers[0], 202, request_id)


class Budget:
    """Bytes that may be held at once, by all together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def take(self, size: int) -> bool:
        """Counted in any case; False where it is too much."""
        self._taken += size
        return self._taken <= self._most

    def give_back(self, size: int) -> None:
        self._taken -= size


def is_publish(method: str, path: str) -> bool:
    return method == "POST" and path.startswith(PATH_PREFIX) and path.endswith(PATH_SUFFIX)


def too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than the {limit} bytes that are accepted")


def too_slow() -> InvalidJson:
    return InvalidJson(f"the body did not arrive within {BODY_SECONDS:.0f} s")


def _named(headers: RawHeaders) -> tuple[bytes | None, bytes | None]:
    authorization = content_type = None
    for name, value in headers:
        if name == b"authorization":
            if authorization is not None:
                raise InvalidApiKey("the Authorization header is there twice")
            authorization = value
        elif name == b"content-type":
            content_type = value
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedMediaType("send the body as it is, without a Content-Encoding")
    return authorization, content_type


def _business_id(path: str) -> int:
    text = path[len(PATH_PREFIX) : -len(PATH_SUFFIX)]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound(f"there is no business {text[:40]}")
    return int(text)


def _check_content_type(content_type: bytes | None) -> None:
    if content_type == b"application/json":
        return
    check_content_type(None if content_type is None else content_type.decode("latin-1"))


def _refuse_parameters(query: bytes) -> None:
    if query:
        name = query.partition(b"=")[0].decode("latin-1")[:100]
        raise InvalidRequest(FieldError(name, "is not a parameter of this call"))


class PublishRoute:
    """The same as ASGI. `person_of` tells who is signed in, where a person calls and not a key."""

    def __init__(
        self, publishing: Publishing, person_of: Callable[[ASGIScope], Awaitable[SignedIn | None]]
    ) -> None:
        self._publishing = publishing
        self._person_of = person_of

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        request_id, reading = new_request_id(), False
        try:
            _refuse_parameters(scope["query_string"])
            person = await self._person_of(scope)
            view = self._publishing.open(scope["path"], scope["headers"], person)
            reading = True
            body = await self._read(receive)
            reading = False
            submitted = await self._publishing.submit_large(view, body)
            await submitted.committed
            answer = submitted.answer(request_id)
        except Exception as error:  # noqa: BLE001 - the top of a request: every error becomes its answer
            answer = self._publishing.refuse(error, request_id)
        # What is left of a body that was given up must not be read for ever.
        headers = [*answer.headers, (b"connection", b"close")] if reading else answer.headers
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _read(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read_body(receive)
        except TimeoutError:
            raise too_slow() from None

    async def _read_body(self, receive: Receive) -> bytes:
        body, more, limit = bytearray(), True, MAX_BATCH_BYTES
        while more and len(body) <= limit + READ_ON_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InvalidJson("the body ended half-way")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            limit = self._publishing.max_body(body)
        if len(body) > limit:
            raise too_large(limit)
        return bytes(body)
