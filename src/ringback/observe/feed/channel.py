"""One business that is followed: what changed, the messages made of it, and who reads them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from enum import StrEnum

from ringback.observe.feed.changes import Changes
from ringback.observe.feed.ring import Position, Ring, frame_of

# What a client is sent in one go, if it is that far behind.
MAX_CHUNK_BYTES = 64 * 1024
# A message's items end here at the latest; what is left is counted.
MAX_DATA_BYTES = 128 * 1024

_RESUMED = b'{"Resumed":true}'
_NEW = b'{"Resumed":false}'
_FORGOTTEN = b'{"Reason":"what followed your Last-Event-ID is no longer known; read again what you show"}'
_MISSED = b'{"Reason":"some changes were not told; read again what you show"}'


class Ended(StrEnum):
    """Why a stream ends, in words for its client."""

    GONE = "the client has gone"
    TOO_SLOW = "the client reads too slowly"
    STOPPING = "this node is stopping"
    NOT_ALLOWED = "the key or session has ended, or may not follow this business any more"


class Subscription:
    """One client's place in the ring. It keeps no messages of its own, so it costs the same however slow."""

    def __init__(self, channel: Channel, position: int, opening: bytes) -> None:
        self.opening = opening
        self.position = position
        self.ended: Ended | None = None
        self.on_end: Callable[[], None] | None = None
        # Set where the client may have lost the right to follow: to be asked again.
        self.doubted = asyncio.Event()
        self._channel = channel
        self._news = asyncio.Event()

    async def next(self, seconds: float) -> list[bytes]:
        """The messages that follow, in order; none where `seconds` pass without one, or it has ended."""
        ring = self._channel.ring
        if self.position == ring.last and self.ended is None:
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return []
        if self.ended is not None:
            return []
        return self._take(ring)

    def _take(self, ring: Ring) -> list[bytes]:
        if not ring.has_all_after(self.position):
            self.end(Ended.TOO_SLOW)
            return []
        taken = ring.after(self.position, MAX_CHUNK_BYTES)
        self.position += len(taken)
        return taken

    def wake(self) -> None:
        self._news.set()

    def end(self, why: Ended) -> None:
        """The first reason counts."""
        if self.ended is None:
            self.ended = why
            self._news.set()
            if self.on_end is not None:
                self.on_end()

    def leave(self, now: float) -> None:
        self._channel.subscriptions.discard(self)
        self._channel.left_at = now


class Channel:
    """Times are the feed's clock's seconds. `touched`: something changed since the last statistics."""

    def __init__(self, business_id: int, ring: Ring) -> None:
        self.business_id = business_id
        self.ring = ring
        self.subscriptions: set[Subscription] = set()
        self.own = Changes()
        self.heard = Changes()
        self.touched = False
        self.stats_at = self.left_at = self.asked_until = -math.inf

    def subscribe(self, resume_from: Position | None) -> Subscription:
        """From where it left off, if that is known; else from now, and a reset if it left off somewhere."""
        ring = self.ring
        now = Position(ring.life, ring.last)
        if resume_from is None:
            position, opening = now, frame_of(now, "hello", _NEW)
        elif ring.knows(resume_from):
            position, opening = resume_from, frame_of(resume_from, "hello", _RESUMED)
        else:
            position, opening = now, frame_of(now, "hello", _NEW) + frame_of(now, "reset", _FORGOTTEN)
        made = Subscription(self, position.number, opening)
        self.subscriptions.add(made)
        return made

    def is_kept(self, now: float, linger: float) -> bool:
        """Followed here, or a moment ago: who comes back finds what was missed."""
        return bool(self.subscriptions) or now < self.left_at + linger

    @property
    def is_unsettled(self) -> bool:
        """Whether there is something to tell: now, or when the next statistics are due."""
        return bool(self.own or self.heard or (self.touched and self.subscriptions))

    def take(self) -> tuple[Changes, Changes]:
        """What this process noticed, and what it heard of its siblings."""
        taken = self.own, self.heard
        self.own, self.heard = Changes(), Changes()
        return taken

    def tell(self, name: str, items: Sequence[bytes], count: int) -> int:
        """Put a message about `count` changes into the ring, with as many items as fit. How many do not."""
        size = fit = 0
        for item in items:
            size += len(item) + 1
            if size > MAX_DATA_BYTES:
                break
            fit += 1
        self.ring.add(name, b'{"Items":[%s],"Omitted":%d}' % (b",".join(items[:fit]), count - fit))
        return count - fit

    def reset(self) -> None:
        """Something was not told: whoever follows has to read anew."""
        self.ring.add("reset", _MISSED)
        self.wake()

    def wake(self) -> None:
        """Let everybody read on; who is so far behind that messages are gone already is let go."""
        for one in list(self.subscriptions):
            if not self.ring.has_all_after(one.position):
                one.end(Ended.TOO_SLOW)
            elif one.position < self.ring.last:
                one.wake()

    def end(self, why: Ended) -> None:
        for one in list(self.subscriptions):
            one.end(why)
