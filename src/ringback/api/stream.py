"""Live updates of a business, as server-sent events.

The feed makes the messages; this is how one client gets them: in order, from where it left off, and only
as long as it reads and may read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from ringback.api.answers import Code
from ringback.api.auth import authorise
from ringback.api.connection import GuardedProtocol
from ringback.api.context import Context
from ringback.api.reach import Reading, Tenant
from ringback.api.refusals import refusals
from ringback.api.route import ControlRoute
from ringback.errors import FieldError, InvalidRequest, Refused, StoreUnavailable
from ringback.model import ApiKey, Scope
from ringback.observe.feed import Ended, Feed, Position, Subscription, position_of
from ringback.people import Principal, SignedIn

Scoped = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}
# How soon a client comes back by itself, in milliseconds.
RETRY_MS = 2_000
HEARTBEAT = b": still here\n\n"
# What does not show in the configuration (a session's end) is looked for this often.
CHECK_SECONDS = 1.0
# A client that does not take the end of its stream is cut off.
LAST_WORDS_SECONDS = 1.0

router = APIRouter(
    prefix="/api/v1/business/{BusinessId}/stream", tags=["Live updates"], route_class=ControlRoute
)

_EXAMPLE = """retry: 2000

id: 4f1c0b7a92de-17
event: hello
data: {"Resumed":false}

id: 4f1c0b7a92de-18
event: delivery.updated
data: {"Items":[{"Id":"dlv_01kb3v9q2m4xb","State":"delivered"}],"Omitted":0}

"""
_STREAM = {
    "description": "Messages until either side ends it; each has an `id` to resume from",
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}
_FAULT = FieldError("Last-Event-ID", "is not the id of a message of a stream")

LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="Resume after this message", examples=["4f1c0b7a92de-17"]),
]
LastEventIdQuery = Annotated[
    str | None,
    Query(alias="LastEventId", description="For clients that cannot set the header, which counts first"),
]


@router.get(
    "",
    response_class=Response,
    responses={200: _STREAM, **refusals(Code.NOT_FOUND, fault=_FAULT)},
)
async def follow(
    here: Reading,
    request: Request,
    last_event_id: LastEventId = None,
    first_event_id: LastEventIdQuery = None,
) -> Response:
    """Follow what happens, live. Coalesced to one message a quarter second and kind of change."""
    position = _position("Last-Event-ID", last_event_id) or _position("LastEventId", first_event_id)
    feed = here.context.feed
    subscription = feed.subscribe(here.business_id, position)
    return EventStream(feed, subscription, lambda: _may_follow(here), _connection(request))


def _position(name: str, given: str | None) -> Position | None:
    if not given:
        return None
    position = position_of(given)
    if position is None:
        raise InvalidRequest(FieldError(name, _FAULT.message))
    return position


async def _may_follow(here: Tenant) -> bool:
    """Whether the caller could begin it now. A database that is away changes nothing."""
    try:
        caller = await _as_of_now(here.principal, here.context)
        return caller is not None and bool(
            authorise(caller, Scope.READ, here.business_id, here.context.live.current)
        )
    except Refused:
        return False
    except StoreUnavailable:
        return True


async def _as_of_now(principal: Principal, context: Context) -> Principal | None:
    """None where the key is revoked, the session over. A page left open does not prolong its session."""
    if isinstance(principal, ApiKey):
        return context.live.current.keys.get(principal.digest)
    if isinstance(principal, SignedIn):
        found = await context.store.find_session(principal.session.digest, context.store.now())
        return found if found is not None and found.user.enabled else None
    return None


def _connection(request: Request) -> GuardedProtocol | None:
    """None where the call did not come over a connection of ours."""
    found = getattr(request.state, "connection", None)
    return found if isinstance(found, GuardedProtocol) else None


class EventStream(Response):
    """`may_follow` is asked now and then."""

    def __init__(
        self,
        feed: Feed,
        subscription: Subscription,
        may_follow: Callable[[], Awaitable[bool]],
        connection: GuardedProtocol | None,
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._feed = feed
        self._subscription = subscription
        self._may_follow = may_follow
        self._connection = connection
        self._cut: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scoped, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        gone = self._ending(Ended.GONE, _disconnect(receive))
        refused = self._ending(Ended.NOT_ALLOWED, self._refusal())
        self._subscription.on_end = self._hurry
        try:
            if self._connection is not None:
                self._connection.begin_stream()
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._send_all(send)
            await self._finish(send, gone)
        finally:
            # From here on the connection may be another request's.
            self._subscription.on_end = None
            for task in (gone, refused):
                task.cancel()
            if self._cut is not None:
                self._cut.cancel()
            self._feed.leave(self._subscription)

    # -- what goes out

    async def _send_all(self, send: Send) -> None:
        """Until it ends."""
        subscription, limits = self._subscription, self._feed.limits
        await self._send(send, b"retry: %d\n\n" % RETRY_MS + subscription.opening)
        while subscription.ended is None:
            frames = await subscription.next(limits.heartbeat_seconds)
            if subscription.ended is None:
                await self._send(send, b"".join(frames) or HEARTBEAT)
                self._feed.metrics.stream_messages += len(frames)

    async def _send(self, send: Send, body: bytes) -> None:
        if self._connection is not None and self._connection.is_closing:
            # Broken since it was last written to; that it is lost is only said a moment later.
            self._subscription.end(Ended.GONE)
            return
        try:
            async with asyncio.timeout(self._feed.limits.slow_seconds):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            self._subscription.end(Ended.TOO_SLOW)

    async def _finish(self, send: Send, gone: asyncio.Task[None]) -> None:
        ended = self._subscription.ended
        if ended in (Ended.GONE, Ended.TOO_SLOW):
            await gone
            return
        last = f": {ended}\n\n".encode()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    # -- what ends it

    def _ending(self, why: Ended, happens: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """The stream ends as soon as this happens, or nobody can tell any more whether it has."""
        task = asyncio.create_task(happens)
        task.add_done_callback(lambda _: self._subscription.end(why))
        return task

    async def _refusal(self) -> None:
        doubted = self._subscription.doubted
        while await self._may_follow():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await doubted.wait()
            doubted.clear()

    def _hurry(self) -> None:
        """It may be in the middle of a send to a client that takes nothing."""
        if self._connection is None:
            return
        if self._subscription.ended is Ended.TOO_SLOW:
            self._connection.abort()
        else:
            self._cut = asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self._connection.abort)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
