"""`POST /api/v1/business/{BusinessId}/events`: the hot path's door, plain ASGI, free of middleware.

What a publish does not need, it does not pay for: no routing table, no models, no dependency graph.
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
from ringback.api.context import Context
from ringback.errors import BodyTooLarge, InvalidJson, NotFound, UnsupportedMediaType
from ringback.ingest import Ingest
from ringback.match import BusinessView
from ringback.model import Scope
from ringback.payloads import parse_frame
from ringback.store.port import Accepted

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

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


class PublishRoute:
    def __init__(self, context: Context, ingest: Ingest, refused: Callable[[int], None]) -> None:
        self._context = context
        self._ingest = ingest
        self._refused = refused

    @staticmethod
    def serves(scope: ASGIScope) -> bool:
        path: str = scope["path"]
        return scope["method"] == "POST" and path.startswith(PATH_PREFIX) and path.endswith(PATH_SUFFIX)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            answer = await self._publish(scope, receive, request_id)
        except Exception as error:  # noqa: BLE001 - the top of a request: every error becomes its answer
            answer = answer_of(error, request_id)
            self._refused(answer.status)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _publish(self, scope: ASGIScope, receive: Receive, request_id: str) -> Answer:
        authorization, content_type = _headers(scope["headers"])
        snapshot = self._context.live.current
        key = authenticate(authorization, snapshot)
        view = authorise(key, Scope.PUBLISH, _business_id(scope["path"]), snapshot)
        _check_content_type(content_type)
        body = await _read_in_time(receive, self._context.max_event_bytes + MAX_FRAME_BYTES)
        parsed = parse_frame(body)
        if isinstance(parsed, list):
            drafts = self._admit(view, parsed, batch=True)
            accepted = await self._ingest.publish(view.business.business_id, drafts)
            return success([_answer(*pair) for pair in zip(drafts, accepted, strict=True)], 202, request_id)
        drafts = self._admit(view, [parsed], batch=False)
        accepted = await self._ingest.publish(view.business.business_id, drafts)
        return success(_answer(drafts[0], accepted[0]), 202, request_id)

    def _admit(self, view: BusinessView, frames: Sequence[Any], *, batch: bool) -> list[Draft]:
        now = self._context.store.now()
        return admit(
            view,
            frames,
            now,
            lambda: ids.event_id(now, int.from_bytes(os.urandom(10), "big")),
            self._context.max_event_bytes,
            batch=batch,
        )


def _answer(draft: Draft, accepted: Accepted) -> PublishAnswer:
    return PublishAnswer(draft.message.event_id, accepted.deliveries, accepted.duplicate)


def _headers(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None]:
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
    if content_type is not None and content_type.partition(b";")[0].strip().lower() == b"application/json":
        return
    raise UnsupportedMediaType("send the event as application/json")


async def _read_in_time(receive: Receive, max_single: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_body(receive, max_single)
    except TimeoutError:
        raise InvalidJson(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None


async def _read_body(receive: Receive, max_single: int) -> bytes:
    """The whole body. Raises BodyTooLarge after having read on for a while, so that the sender sees it."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        _check_size(body, len(body), max_single)
        return body
    parts, size, first = [body], len(body), body
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidJson("the body ended half-way")
        part = message.get("body", b"")
        size += len(part)
        first = first or part
        limit = _limit(first, max_single)
        if size > limit + READ_ON_BYTES:
            break
        if size <= limit:
            parts.append(part)
    _check_size(first, size, max_single)
    return b"".join(parts)


def _limit(body: bytes, max_single: int) -> int:
    return MAX_BATCH_BYTES if body[:64].lstrip()[:1] == b"[" else max_single


def _check_size(body: bytes, size: int, max_single: int) -> None:
    limit = _limit(body, max_single)
    if size > limit:
        raise BodyTooLarge(f"the body is larger than the {limit} bytes that are accepted")
