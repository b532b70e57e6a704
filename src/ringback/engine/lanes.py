"""Who may send now: slots, lanes and fairness, in memory, without I/O.

A *lane* is one integration's queue. An attempt holds one slot of its lane and one of the node's
window. The lane's is given back at the answer, the window's when the result is recorded: so a database
that is away stops new attempts, and a slow endpoint stops only its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from ringback.engine import breaker
from ringback.engine.breaker import CLOSED, Breaker

# A lane may hold at most one part in so many of the window, whatever its own cap is.
LANE_SHARE = 2
# A claim takes at most this many of one lane, so that every due lane gets its turn soon.
CLAIM_CHUNK = 50


@dataclass(slots=True)
class Lane:
    """`backlog`: something may be due and not claimed, so new work must queue behind it.

    `overflows` counts the times work was queued behind; a claim that began before the last one
    can't say that the lane is empty.
    """

    lane_id: int
    backlog: bool
    breaker: Breaker = CLOSED
    in_use: int = 0
    overflows: int = 0
    next_due: int | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """Slots taken for one claim: how many of each lane, and each lane's overflow count at that moment."""

    quotas: dict[int, int]
    overflows: dict[int, int]


@dataclass(slots=True)
class Lanes:
    window: int
    # After a start nobody knows yet what waits: every lane is assumed to have a backlog.
    assume_backlog: bool = True
    window_in_use: int = 0
    _lanes: dict[int, Lane] = field(default_factory=dict)
    # Lanes with a backlog, in the order of their turns.
    _turns: dict[int, None] = field(default_factory=dict)
    _timers: list[tuple[int, int]] = field(default_factory=list)

    # -- the direct path

    def take(self, lane_id: int, cap: int, now: int) -> bool:
        """A slot for a new delivery; False where it must queue. Never overtakes what is due."""
        lane = self._lane(lane_id)
        if (
            not lane.backlog
            and (lane.next_due is None or lane.next_due > now)
            and self.window_in_use < self.window
            and lane.in_use < self._limit(lane, cap, now)
        ):
            lane.in_use += 1
            self.window_in_use += 1
            return True
        self._queue_behind(lane)
        return False

    def queue_behind(self, lane_id: int) -> None:
        """Something of this lane is due and not claimed: what comes next must not overtake it."""
        self._queue_behind(self._lane(lane_id))

    # -- claims

    def grant(self, cap_of: Callable[[int], int], now: int) -> Grant | None:
        """Take slots for the next claim, fairly: every due lane gets a few before any gets many.

        `cap_of`: a lane's concurrency cap, 0 where it is held or gone.
        """
        self._ring_timers(now)
        free = self.window - self.window_in_use
        chosen = list(islice(self._with_room(cap_of, now), max(free, 0)))
        if not chosen:
            return None
        share = min(CLAIM_CHUNK, -(-free // len(chosen)))
        quotas = {
            lane.lane_id: self._occupy(lane, min(share, room, self.window - self.window_in_use))
            for lane, room in chosen
        }
        quotas = {lane_id: count for lane_id, count in quotas.items() if count}
        return Grant(quotas, {lane_id: self._lanes[lane_id].overflows for lane_id in quotas})

    def settle(
        self, grant: Grant, used: Mapping[int, int], next_due: Mapping[int, int | None], now: int
    ) -> None:
        """A claim came back: free the slots it did not use, and learn what the lanes still hold."""
        for lane_id, count in grant.quotas.items():
            lane = self._lanes[lane_id]
            unused = count - used.get(lane_id, 0)
            lane.in_use -= unused
            self.window_in_use -= unused
            if lane.overflows != grant.overflows[lane_id]:
                continue
            known, lane.next_due = lane.next_due, next_due.get(lane_id)
            if lane.next_due is None or lane.next_due > now:
                lane.backlog = False
                self._turns.pop(lane_id, None)
                # A busy lane comes here with every claim: its timer is set once.
                if lane.next_due != known:
                    self._set_timer(lane)

    def give_up(self, grant: Grant) -> None:
        """The claim failed: all its slots are free again, its lanes still due."""
        for lane_id, count in grant.quotas.items():
            self._lanes[lane_id].in_use -= count
            self.window_in_use -= count

    # -- what attempts tell

    def answered(self, lane_id: int) -> None:
        self._lanes[lane_id].in_use -= 1

    def succeeded(self, lane_id: int) -> None:
        """For lanes with a circuit breaker: its endpoint answered well."""
        lane = self._lanes[lane_id]
        if lane.breaker is not CLOSED:
            lane.breaker = breaker.after_success(lane.breaker)

    def failed(self, lane_id: int, now: int) -> None:
        """As above: its endpoint failed. A lane that opens is looked at when its pause is over."""
        lane = self._lanes[lane_id]
        before, lane.breaker = lane.breaker, breaker.after_failure(lane.breaker, now)
        if lane.breaker.open_until is not None and lane.breaker is not before:
            heapq.heappush(self._timers, (lane.breaker.open_until, lane_id))

    def forgive(self, lane_id: int) -> None:
        """Somebody changed the endpoint or asks for it: its breaker starts anew."""
        lane = self._lanes.get(lane_id)
        if lane is not None:
            lane.breaker = CLOSED

    @property
    def open_circuits(self) -> int:
        return sum(lane.breaker.open_until is not None for lane in self._lanes.values())

    def recorded(self, count: int) -> None:
        self.window_in_use -= count

    def returned(self, lane_id: int) -> None:
        """A slot that was taken and not used."""
        self._lanes[lane_id].in_use -= 1
        self.window_in_use -= 1

    def waits(self, lane_id: int, due_at: int) -> None:
        """Something of this lane waits for `due_at`."""
        lane = self._lane(lane_id)
        if not lane.backlog and (lane.next_due is None or due_at < lane.next_due):
            lane.next_due = due_at
            self._set_timer(lane)

    def know_backlogs(self, due: Iterable[int]) -> None:
        """The first look after a start: these lanes have work due, and no lane yet unheard of has."""
        self.assume_backlog = False
        for lane_id in due:
            self.queue_behind(lane_id)

    # -- asking

    @property
    def has_due(self) -> bool:
        return bool(self._turns)

    @property
    def due_count(self) -> int:
        return len(self._turns)

    def next_timer(self) -> int | None:
        """When the next waiting lane falls due, as far as this node knows."""
        return self._timers[0][0] if self._timers else None

    # -- inside

    def _lane(self, lane_id: int) -> Lane:
        lane = self._lanes.get(lane_id)
        if lane is None:
            lane = self._lanes[lane_id] = Lane(lane_id, self.assume_backlog)
            if lane.backlog:
                self._turns[lane_id] = None
        return lane

    def _limit(self, lane: Lane, cap: int, now: int) -> int:
        most = min(cap, max(self.window // LANE_SHARE, 1))
        return most if lane.breaker is CLOSED else breaker.limit(lane.breaker, most, now)

    def _with_room(self, cap_of: Callable[[int], int], now: int) -> Iterator[tuple[Lane, int]]:
        """Due lanes that may send, in the order of their turns, and how many more each may send."""
        for lane_id in list(self._turns):
            lane, cap = self._lanes[lane_id], cap_of(lane_id)
            if not cap:
                # Held: no turns until it is let go, but new work keeps queueing behind the old.
                del self._turns[lane_id]
            elif (room := self._limit(lane, cap, now) - lane.in_use) > 0:
                yield lane, room

    def _occupy(self, lane: Lane, count: int) -> int:
        lane.in_use += count
        self.window_in_use += count
        # To the back: the others' turns come first next time.
        self._turns.pop(lane.lane_id, None)
        self._turns[lane.lane_id] = None
        return count

    def _queue_behind(self, lane: Lane) -> None:
        lane.overflows += 1
        self._mark(lane)

    def _mark(self, lane: Lane) -> None:
        lane.backlog = True
        self._turns.setdefault(lane.lane_id)

    def _set_timer(self, lane: Lane) -> None:
        if lane.next_due is not None:
            heapq.heappush(self._timers, (lane.next_due, lane.lane_id))

    def _ring_timers(self, now: int) -> None:
        while self._timers and self._timers[0][0] <= now:
            due_at, lane_id = heapq.heappop(self._timers)
            lane = self._lanes[lane_id]
            if not lane.backlog and lane.next_due == due_at:
                self._mark(lane)
