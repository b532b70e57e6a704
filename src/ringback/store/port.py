"""What the rest of ringback asks of a store: domain verbs, asynchronous, shaped for batches.

Two stores stand behind it (SQLite now, PostgreSQL to come) and one conformance suite runs on both.
Every verb is one transaction: it has happened entirely when it returns and not at all when it raises.

Errors: `StoreUnavailable` (nothing written, try again), `StoreBroken` (end the process), and what a
verb names itself. Times are milliseconds since 1970; `now` is always an argument, taken from
`Store.now` by whoever decides.

Rules every store keeps:

- A row id comes from one growing sequence, taken inside the transaction. An event's deliveries have
  the ids that follow its own: the first target's is `row_id + 1`, the next `row_id + 2`.
- `held` is a property of the lane. No verb rewrites a lane's backlog inside a request.
- Whatever leaves `sending` names the node, the epoch and the attempt it was leased for.
- Rollups are written by the transactions that change what they count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from ringback.errors import Poisoned
from ringback.failures import FailureClass
from ringback.match import Snapshot
from ringback.model import (
    ApiKey,
    AttemptResult,
    Business,
    Integration,
    Leased,
    Message,
    Node,
    PayloadValidation,
    Timings,
    Value,
)

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


# ---------------------------------------------------------------- configuration


class Change(Value, frozen=True, kw_only=True):
    """Who changes what, for the audit log: `key:ops`, `integration.pause`, now."""

    actor: str
    action: str
    at: int
    detail: str | None = None


class NewBusiness(Value, frozen=True, kw_only=True):
    name: str
    external_id: str | None = None
    enabled: bool = True
    payload_validation: PayloadValidation = PayloadValidation.WARN


# ---------------------------------------------------------------- reading


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`next_before` continues the walk: the row id to pass as `before`; None at the end.

    A page may hold fewer rows than asked for and still have a next one: what a page may scan is bounded.
    """

    items: tuple[T, ...]
    next_before: int | None


class EventFilter(Value, frozen=True, kw_only=True):
    event_type: str | None = None
    test: bool | None = None
    since: int | None = None
    until: int | None = None


class DeliveryFilter(Value, frozen=True, kw_only=True):
    """All must hold; None does not filter. `state` is as shown: `held` too."""

    integration_id: int | None = None
    state: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    status: int | None = None
    failure_class: FailureClass | None = None
    test: bool | None = None
    since: int | None = None
    until: int | None = None


class EventRow(Value, frozen=True, kw_only=True):
    row_id: int
    event_id: str
    event_type: str
    business_id: int
    timestamp: int
    accepted_at: int
    deliveries: int
    data: bytes | None
    schema_errors: str | None
    test: bool


class DeliveryRow(Value, frozen=True, kw_only=True):
    """`state` is as shown: a waiting delivery of a held lane is `held`, of a deleted one `cancelled`."""

    delivery_id: int
    event_row_id: int
    event_id: str
    event_type: str
    business_id: int
    integration_id: int
    integration_name: str
    state: str
    attempts: int
    tries: int
    due_at: int | None
    last_status: int | None
    last_failure: FailureClass | None
    test: bool
    replay: bool
    created_at: int
    finished_at: int | None


class AttemptRow(Value, frozen=True, kw_only=True):
    delivery_id: int
    number: int
    started_at: int
    timings: Timings
    status: int | None
    failure: FailureClass | None
    detail: str | None
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    truncated: bool
    remote_address: str | None
    http_version: str | None
    signatures: int
    header_names: tuple[str, ...]
    replay: bool


class Store(Protocol):
    """The port. Methods are grouped by who calls them."""

    # -- life

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

    # -- the path of an event

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

    # -- the configuration

    async def snapshot(self, previous: Snapshot) -> Snapshot:
        """The newest configuration; `previous` itself where nothing changed. Shares unchanged businesses."""
        ...

    async def create_business(self, new: NewBusiness, change: Change) -> Business:
        """Raises Conflict where the external id is taken."""
        ...

    async def save_business(self, business: Business, change: Change) -> Business:
        """Write a changed business; its lanes are held while it is disabled. Raises NotFound, Conflict."""
        ...

    async def delete_business(self, business_id: int, change: Change) -> None:
        """Hide it and its integrations; what waits is cancelled step by step. Raises NotFound."""
        ...

    async def get_business(self, business_id: int) -> Business:
        """Raises NotFound."""
        ...

    async def list_businesses(self, limit: int, before: int | None) -> Page[Business]: ...

    async def create_integration(self, integration: Integration, change: Change) -> Integration:
        """Raises NotFound where the business is not there."""
        ...

    async def save_integration(self, integration: Integration, change: Change) -> Integration:
        """Write a changed integration (state and secrets too) over the version it was read at.

        Returns it with the next version. Raises Conflict where the stored version is another, NotFound.
        The lane is held or let go in the same transaction, and the history gets its row.
        """
        ...

    async def delete_integration(self, business_id: int, integration_id: int, change: Change) -> None:
        """Raises NotFound."""
        ...

    async def get_integration(self, business_id: int, integration_id: int) -> Integration:
        """Raises NotFound, for a deleted one too."""
        ...

    async def list_integrations(
        self, business_id: int, limit: int, before: int | None
    ) -> Page[Integration]: ...

    async def create_key(self, key: ApiKey, change: Change) -> None:
        """Raises Conflict where that very key exists."""
        ...

    async def list_keys(self, limit: int, before: int | None) -> Page[ApiKey]: ...

    async def revoke_key(self, key_id: int, change: Change) -> None:
        """Raises NotFound."""
        ...

    # -- the log

    async def list_events(
        self, business_id: int, wanted: EventFilter, limit: int, before: int | None
    ) -> Page[EventRow]: ...

    async def get_event(self, business_id: int, event_id: str) -> tuple[EventRow, tuple[DeliveryRow, ...]]:
        """Raises NotFound."""
        ...

    async def list_deliveries(
        self, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
    ) -> Page[DeliveryRow]: ...

    async def get_delivery(
        self, business_id: int, delivery_id: int
    ) -> tuple[DeliveryRow, tuple[AttemptRow, ...]]:
        """Raises NotFound."""
        ...

    async def retry_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        """One more attempt now, marked as a replay. From a finished state it is the last; from `retrying`
        the schedule goes on after it. Raises NotFound; Conflict while sending or queued, when the payload
        is past retention, when the integration is deleted.
        """
        ...

    async def cancel_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        """Stop what waits. Raises NotFound; Conflict where it is sending or finished."""
        ...
