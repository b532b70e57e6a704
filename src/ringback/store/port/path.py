"""The path of an event: accepted, leased, sent, recorded; and a node's life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ringback.errors import Poisoned
from ringback.model import AttemptResult, Leased, Message, Node, Value

# ---------------------------------------------------------------- transaction 1: accept


class Target(Value, frozen=True, kw_only=True):
    """One integration an event goes to. `direct`: a slot is taken, the delivery is born leased."""

    integration_id: int
    direct: bool


class NewEvent(Value, frozen=True, kw_only=True):
    """One event to accept. `generated` EventIds are new by construction and are not looked up."""

    message: Message
    generated: bool
    targets: tuple[Target, ...]
    schema_errors: str | None = None


class Accepted(Value, frozen=True, kw_only=True):
    """Where an event went. For a duplicate: the first one's row and its number of deliveries."""

    row_id: int
    deliveries: int
    duplicate: bool

    @property
    def delivery_ids(self) -> range:
        return range(self.row_id + 1, self.row_id + 1 + self.deliveries)


# One request's events: accepted together or not at all.
Publish = tuple[NewEvent, ...]


# ---------------------------------------------------------------- the queue


class Claimed(Value, frozen=True, kw_only=True):
    """`next_due` has every lane that was asked for: its next waiting time, None where nothing waits.

    A lane that was found held, deleted or unknown is None too.
    """

    leased: tuple[Leased, ...]
    next_due: Mapping[int, int | None]


class DueLanes(Value, frozen=True, kw_only=True):
    """Lanes (integration ids) with work due now, and when the next lane beyond them falls due."""

    due: tuple[int, ...]
    next_due: int | None


class QueueDepth(Value, frozen=True, kw_only=True):
    queued: int
    retrying: int
    held: int
    sending: int
    oldest_due: int | None


# ---------------------------------------------------------------- the verbs


class NodeLife(Protocol):
    """A process and its proof that it lives."""

    def now(self) -> int:
        """The one clock that time decisions use: the host's on SQLite, the database's on PostgreSQL."""
        ...

    async def join(self, now: int) -> Node:
        """Take a node's place; what an earlier life of it left leased is for `rescue` to find."""
        ...

    async def heartbeat(self, node: Node, now: int) -> None:
        """Commit something small: proof that the node lives and that the database can commit."""
        ...

    async def leave(self, node: Node) -> None: ...

    async def close(self) -> None: ...


class EventPath(Protocol):
    """What moves events and deliveries along."""

    async def accept(
        self, publishes: Sequence[Publish], snapshot_version: int, node: Node, now: int
    ) -> list[list[Accepted] | Poisoned]:
        """Transaction 1: events, deliveries, intake rollups. An answer per publish, in order.

        Known EventIds (and repeats within the batch) come back as duplicates of the first. A publish
        whose own data breaks the commit comes back as `Poisoned`; the others are committed.
        Deliveries are born `sending` (direct) or `queued`, due at `now`.

        Raises StaleSnapshot where the configuration has moved on: nothing was written.
        """
        ...

    async def record(self, results: Sequence[AttemptResult], node: Node) -> frozenset[int]:
        """Transaction 2: attempts, next states, rollups; ids of those still this node's.

        A result that is no longer the node's (other epoch, other attempt number, not sending) writes nothing.
        """
        ...

    async def record_test(self, message: Message, result: AttemptResult, now: int) -> int:
        """A finished test send: event, delivery (`delivered` or `cancelled`), attempt. Its delivery id."""
        ...

    async def claim(self, quotas: Mapping[int, int], node: Node, now: int) -> Claimed:
        """Lease up to `quotas[lane]` deliveries that are due, oldest due first, then by id, of each lane."""
        ...

    async def due_lanes(self, now: int, limit: int) -> DueLanes:
        """Lanes that are not held and have work due. Never touches the work itself."""
        ...

    async def release(self, delivery_ids: Sequence[int], node: Node) -> int:
        """Give leases back unused: waiting again at the time and in the place they had."""
        ...

    async def own_sending(self, node: Node) -> frozenset[int]:
        """The deliveries leased to this life of the node, committed so far."""
        ...

    async def rescue(self, limit: int) -> int:
        """Release up to `limit` deliveries leased to nodes (or earlier lives) that are provably dead."""
        ...

    async def finish_cancellations(self, limit: int, now: int) -> int:
        """Cancel up to `limit` waiting deliveries of deleted integrations; 0 when none are left."""
        ...

    async def queue_depth(self, now: int) -> QueueDepth: ...
