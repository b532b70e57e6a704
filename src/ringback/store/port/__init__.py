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

from typing import Protocol

from ringback.store.port.configuration import (
    Change,
    Configuration,
    NewBusiness,
)
from ringback.store.port.keeping import (
    Chore,
    Keep,
    Keeping,
    Swept,
)
from ringback.store.port.log import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    EventFilter,
    EventRow,
    Log,
    NotSent,
    Retried,
)
from ringback.store.port.paging import (
    Page,
)
from ringback.store.port.path import (
    Accepted,
    Claimed,
    DueLanes,
    EventPath,
    NewEvent,
    NodeLife,
    Publish,
    QueueDepth,
    Target,
)
from ringback.store.port.people import (
    AuditFilter,
    AuditRow,
    People,
)
from ringback.store.port.sealing import Resealed, Sealed, Sealing
from ringback.store.port.statistics import (
    Asked,
    AttemptGroup,
    Monitoring,
    NodeRow,
    NodeState,
    Statistics,
    SystemState,
    Traffic,
    WaitingNow,
)

__all__ = [
    "Accepted",
    "Asked",
    "AttemptGroup",
    "AttemptRow",
    "AuditFilter",
    "AuditRow",
    "Change",
    "Chore",
    "Claimed",
    "DeliveryFilter",
    "DeliveryRow",
    "DueLanes",
    "EventFilter",
    "EventRow",
    "Keep",
    "NewBusiness",
    "NewEvent",
    "NodeRow",
    "NodeState",
    "NotSent",
    "Page",
    "Publish",
    "QueueDepth",
    "Resealed",
    "Retried",
    "Sealed",
    "Statistics",
    "Store",
    "Swept",
    "SystemState",
    "Target",
    "Traffic",
    "WaitingNow",
]


class Store(NodeLife, EventPath, Configuration, Log, People, Keeping, Sealing, Monitoring, Protocol):
    """The whole door. Each part has its file here, and one of the same name in every store."""
