"""Live updates: who follows which business, and what they are told, four times a second.

What nobody follows costs one look-up in `followed`. Whoever follows is told what changed since the last
time, each delivery once with its newest state, and how much there was beyond what fits.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

import msgspec

from ringback.errors import StoreUnavailable, Unavailable
from ringback.match import EMPTY, Snapshot
from ringback.model import AttemptResult, Integration, Value
from ringback.observe.feed.changes import MAX_ITEMS, Batch, Changes, FinishedAttempt, batch_of
from ringback.observe.feed.channel import Channel, Ended, Subscription
from ringback.observe.feed.ring import Position, Ring
from ringback.observe.metrics import Metrics

LIFE_BYTES = 6


class Limits(Value, frozen=True, kw_only=True):
    """`bytes` is what the messages of all businesses may take together."""

    streams: int = 200
    streams_of_business: int = 50
    channels: int = 1_000
    ring_messages: int = 2_000
    ring_bytes: int = 2 * 1024 * 1024
    bytes: int = 32 * 1024 * 1024
    tick_seconds: float = 0.25
    stats_seconds: float = 2.0
    linger_seconds: float = 180.0
    heartbeat_seconds: float = 15.0
    slow_seconds: float = 20.0
    asked_seconds: float = 60.0


class Views(Protocol):
    """What changed, as JSON objects of the API, each in one line."""

    def attempt(self, attempt: FinishedAttempt) -> bytes: ...

    def integration(self, integration_id: int, integration: Integration | None) -> bytes:
        """None: it was deleted."""
        ...

    async def deliveries(self, business_id: int, delivery_ids: Sequence[int]) -> Sequence[bytes]:
        """As lists show them now, oldest first; those that are gone are left out. Raises StoreUnavailable."""
        ...

    async def stats(self, business_id: int) -> bytes:
        """What waits now. Raises StoreUnavailable."""
        ...


class Feed:
    """`clock` is in seconds, from anywhere. `on_batch` hears what sibling processes should hear too."""

    def __init__(
        self,
        metrics: Metrics,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.followed: dict[int, Channel] = {}
        self.limits = limits
        self.metrics = metrics
        self.views: Views | None = None
        self.on_batch: Callable[[bytes], None] | None = None
        self._clock = clock
        self._configuration = EMPTY
        self._some = asyncio.Event()
        self._closed = False

    # -- what happened

    def deliveries(self, business_id: int, delivery_ids: Iterable[int]) -> None:
        """These were made, or changed their state: committed, in both cases."""
        channel = self.followed.get(business_id)
        if channel is not None:
            channel.own.add_deliveries(delivery_ids)
            self._some.set()

    def attempt(self, result: AttemptResult, delivery_id: int) -> None:
        """This was recorded. A test's result does not know its delivery, hence the id."""
        channel = self.followed.get(result.leased.message.business_id)
        if channel is not None:
            channel.own.add_attempt(result, delivery_id)
            channel.own.add_deliveries((delivery_id,))
            self._some.set()

    def configured(self, snapshot: Snapshot) -> None:
        """The configuration is now this one."""
        before, self._configuration = self._configuration, snapshot
        for business_id, channel in self.followed.items():
            old, new = before.businesses.get(business_id), snapshot.businesses.get(business_id)
            if old is not new:
                channel.own.integrations |= _changed(
                    () if old is None else old.integrations, () if new is None else new.integrations
                )
                channel.touched = True
                self._some.set()
        self.doubt()

    # -- streams

    def subscribe(self, business_id: int, resume_from: Position | None) -> Subscription:
        """A place in the business' stream, until `leave`. Raises Unavailable."""
        if self._closed:
            raise Unavailable("this node is stopping; follow another, or again in a moment")
        if self.streams >= self.limits.streams:
            raise Unavailable("too many streams are open on this node", retry_after=5)
        channel = self._channel(business_id)
        if len(channel.subscriptions) >= self.limits.streams_of_business:
            raise Unavailable("too many streams of this business are open on this node", retry_after=5)
        if not channel.is_kept(self._clock(), self.limits.linger_seconds):
            self._announce(business_id)
        return channel.subscribe(resume_from)

    def leave(self, subscription: Subscription) -> None:
        subscription.leave(self._clock())
        if subscription.ended is Ended.TOO_SLOW:
            self.metrics.streams_dropped += 1

    def doubt(self) -> None:
        """Somebody may have lost the right to follow: every stream asks again."""
        for channel in self.followed.values():
            for one in channel.subscriptions:
                one.doubted.set()

    @property
    def streams(self) -> int:
        return sum(len(channel.subscriptions) for channel in self.followed.values())

    def _channel(self, business_id: int) -> Channel:
        channel = self.followed.get(business_id)
        if channel is None:
            self._make_room()
            channel = Channel(business_id, self._new_ring())
            self.followed[business_id] = channel
        return channel

    def _make_room(self) -> None:
        """Forget whom nobody came back to; if need be, the one that was left the longest ago."""
        self._forget_left()
        idle = [one for one in self.followed.values() if not one.subscriptions]
        if len(self.followed) >= self.limits.channels and idle:
            del self.followed[min(idle, key=lambda one: one.left_at).business_id]

    def _forget_left(self) -> None:
        now = self._clock()
        for channel in list(self.followed.values()):
            if channel.is_kept(now, self.limits.linger_seconds):
                continue
            if now >= channel.asked_until:
                del self.followed[channel.business_id]
            elif channel.ring.last:
                # Nothing is put into it from now on: what it has must not look complete later.
                channel.ring = self._new_ring()

    def _new_ring(self) -> Ring:
        return Ring(os.urandom(LIFE_BYTES).hex(), self.limits.ring_messages, self.limits.ring_bytes)

    # -- life

    async def run(self, trouble: Callable[[str, BaseException], None]) -> None:
        """At once after a while of quiet, else once a tick."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._forget_left()
            unsettled = [one for one in self.followed.values() if one.is_unsettled]
            await asyncio.gather(*[self._tick(one, trouble) for one in unsettled])
            await asyncio.sleep(self.limits.tick_seconds)
            if any(one.is_unsettled for one in unsettled):
                self._some.set()

    def close(self) -> None:
        """End every stream and let no more in."""
        self._closed = True
        for channel in self.followed.values():
            channel.end(Ended.STOPPING)

    async def _tick(self, channel: Channel, trouble: Callable[[str, BaseException], None]) -> None:
        try:
            await self._tell(channel)
        except Exception as error:  # noqa: BLE001 - the top of the loop
            trouble("stream", error)
            channel.reset()

    async def _tell(self, channel: Channel) -> None:
        changes, heard = channel.take()
        if changes and self.on_batch is not None:
            self.on_batch(_encode(batch_of(channel.business_id, changes)))
        if heard:
            changes.merge(batch_of(channel.business_id, heard))
        if not channel.is_kept(self._clock(), self.limits.linger_seconds):
            return
        if changes:
            await self._tell_changes(channel, changes)
            channel.touched = True
        await self._tell_stats(channel)
        self._stay_within_bytes()
        channel.wake()

    async def _tell_changes(self, channel: Channel, changes: Changes) -> None:
        views = self._views
        newest = islice(reversed(changes.integrations.items()), MAX_ITEMS)
        integrations = [views.integration(*one) for one in newest]
        attempts = [views.attempt(one) for one in changes.attempts]
        deliveries = await self._deliveries(channel, changes)
        self._put(channel, "integration.updated", integrations, len(changes.integrations))
        self._put(channel, "attempt.finished", attempts, changes.attempt_count)
        self._put(channel, "delivery.updated", deliveries, changes.delivery_count)

    def _put(self, channel: Channel, name: str, items: Sequence[bytes], count: int) -> None:
        if count:
            self.metrics.stream_omitted += channel.tell(name, items, count)

    async def _deliveries(self, channel: Channel, changes: Changes) -> Sequence[bytes]:
        """None where the database is away: they count as omitted, so the client knows that it missed some."""
        if not changes.deliveries:
            return ()
        try:
            return await self._views.deliveries(channel.business_id, changes.newest_deliveries)
        except StoreUnavailable:
            return ()

    async def _tell_stats(self, channel: Channel) -> None:
        now = self._clock()
        due = channel.touched and now >= channel.stats_at + self.limits.stats_seconds
        if not due or not channel.subscriptions:
            return
        channel.stats_at = now
        channel.touched = False
        try:
            channel.ring.add("stats", await self._views.stats(channel.business_id))
        except StoreUnavailable:
            channel.touched = True

    def _stay_within_bytes(self) -> None:
        rings = [channel.ring for channel in self.followed.values()]
        excess = sum(ring.bytes for ring in rings) - self.limits.bytes
        while excess > 0:
            largest = max(rings, key=lambda ring: ring.bytes)
            excess -= largest.forget_oldest()

    @property
    def _views(self) -> Views:
        assert self.views is not None, "a feed that is followed has views"
        return self.views

    # -- sibling processes

    def hear(self, batch: bytes) -> None:
        """What a sibling's `on_batch` was given."""
        heard = _decode(batch)
        if heard.watched:
            channel = self._channel(heard.business_id)
            channel.asked_until = self._clock() + self.limits.asked_seconds
        elif (known := self.followed.get(heard.business_id)) is not None:
            known.heard.merge(heard)
            self._some.set()

    def missed(self) -> None:
        """Batches of a sibling were lost, of which businesses nobody knows."""
        for channel in self.followed.values():
            channel.reset()

    def announce(self) -> None:
        """Tell the siblings again what is followed here: for the relay, a few times in `asked_seconds`."""
        now = self._clock()
        for channel in self.followed.values():
            if channel.is_kept(now, self.limits.linger_seconds):
                self._announce(channel.business_id)

    def _announce(self, business_id: int) -> None:
        if self.on_batch is not None:
            self.on_batch(_encode(Batch(business_id=business_id, watched=True)))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Batch).decode


def _changed(old: Iterable[Integration], new: Iterable[Integration]) -> dict[int, Integration | None]:
    before = {one.integration_id: one for one in old}
    after: dict[int, Integration | None] = {one.integration_id: one for one in new}
    gone: dict[int, Integration | None] = {known: None for known in before if known not in after}
    return {known: one for known, one in after.items() if one != before.get(known)} | gone
