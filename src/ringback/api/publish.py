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
from ringback.errors import BodyTooLarge, InvalidJson, NotFound
from ringback.ingest import Ingest
from ringback.match import BusinessView
from ringback.model import Scope
from ringback.payloads import Frame, parse_frame
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

    def open(self, path: str, headers: RawHeaders) -> BusinessView:
        """Raises InvalidApiKey, PermissionDenied, NotFound, BusinessDisabled, UnsupportedMediaType."""
        authorization, content_type = _named(headers)
        snapshot = self._context.live.current
        key = authenticate(authorization, snapshot)
        view = authorise(key, Scope.PUBLISH, _business_id(path), snapshot)
        _check_content_type(content_type)
        return view

    def submit(self, view: BusinessView, body: bytes) -> Submitted:
        """Raises InvalidJson, InvalidRequest, BodyTooLarge, Unavailable."""
        parsed = parse_frame(body)
        batch = isinstance(parsed, list)
        frames: list[Frame] = parsed if isinstance(parsed, list) else [parsed]
        now = self._context.store.now()
        drafts = admit(
            view,
            frames,
            now,
            lambda: ids.event_id(now, os.urandom(ids.EVENT_ID_RANDOM_BYTES)),
            self._context.max_event_bytes,
            batch=batch,
        )
        return Submitted(drafts, batch, self._ingest.publish(view.business.business_id, drafts))

    def refuse(self, error: Exception, request_id: str) -> Answer:
        answer = answer_of(error, request_id)
        self._refused(answer.status)
        return answer

    def max_body(self, start: bytes | bytearray) -> int:
        """How large a body that begins so may be: an array is a batch."""
        if start[:64].lstrip()[:1] == b"[":
            return MAX_BATCH_BYTES
        return self._context.max_event_bytes + MAX_FRAME_BYTES


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
            authorization = value
        elif name == b"content-type":
            content_type = value
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


class PublishRoute:
    """The same as ASGI."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        request_id, reading = new_request_id(), False
        try:
            view = self._publishing.open(scope["path"], scope["headers"])
            reading = True
            body = await self._read(receive)
            reading = False
            submitted = self._publishing.submit(view, body)
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
