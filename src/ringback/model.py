"""The words of the product as frozen values: no I/O, no clock, no randomness.

Times are integers: milliseconds since 1970, UTC. Ids are the integers of `ids`, EventIds are text.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ringback.failures import FailureClass


class Value(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value without reference cycles (msgspec inherits `gc` alone: repeat the others)."""


# ---------------------------------------------------------------- deliveries


class DeliveryState(StrEnum):
    """What is stored. `held` is not here: it is how a waiting delivery of a held lane is shown."""

    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


HELD = "held"
_S = DeliveryState
WAITING = frozenset({_S.QUEUED, _S.RETRYING})
FINISHED = frozenset({_S.DELIVERED, _S.DEAD, _S.CANCELLED})
LEGAL_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    _S.QUEUED: frozenset({_S.SENDING, _S.CANCELLED, _S.DEAD}),
    _S.RETRYING: frozenset({_S.SENDING, _S.QUEUED, _S.CANCELLED, _S.DEAD}),
    _S.SENDING: frozenset({_S.DELIVERED, _S.RETRYING, _S.QUEUED, _S.DEAD, _S.CANCELLED}),
    _S.DELIVERED: frozenset({_S.QUEUED}),
    _S.DEAD: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
}


class Message(Value, frozen=True, kw_only=True):
    """What an event says: all that a body and its headers are made from."""

    event_id: str
    event_type: str
    business_id: int
    timestamp: int
    data: bytes


class Leased(Value, frozen=True, kw_only=True):
    """A delivery that this node may send now, once.

    `tries` counts the attempts that used up the schedule; `attempts` all that were recorded, manual
    ones too: the next attempt's number is `attempts + 1`. `replay`: this one was asked for by hand.
    """

    delivery_id: int
    integration_id: int
    message: Message
    attempts: int
    tries: int
    due_at: int
    created_at: int
    replay: bool = False

    @property
    def number(self) -> int:
        return self.attempts + 1


# Tries of a delivery whose schedule is over, whatever its schedule was or becomes.
EXHAUSTED = 1_000


class Node(Value, frozen=True, kw_only=True):
    """A process's proof that a lease is its own: both must match for a result to be written."""

    node_id: int
    epoch: int


# ---------------------------------------------------------------- attempts


class Timings(Value, frozen=True, kw_only=True):
    """Milliseconds by phase; None where the phase was not reached or not needed."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0


class Outcome(Value, frozen=True, kw_only=True):
    """What one HTTP request came to, before anyone judges it.

    `transport` is set where there was no complete answer. `body` holds at most 16 KiB;
    `detail` is evidence in words, for the transport failures.
    """

    started_at: int
    ended_at: int
    timings: Timings
    transport: FailureClass | None = None
    detail: str | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    remote_address: str | None = None
    http_version: str | None = None


class Decision(Value, frozen=True, kw_only=True):
    """What happens after an attempt. `due_at` is set where the next state is retrying."""

    state: DeliveryState
    due_at: int | None = None
    disable_integration: bool = False


class AttemptResult(Value, frozen=True, kw_only=True):
    """One finished attempt: the row, the log line, the metric and the live update.

    `signatures` is the number of keys it was signed with, `header_names` the custom ones it carried.
    """

    leased: Leased
    outcome: Outcome
    failure: FailureClass | None
    decision: Decision
    signatures: int = 0
    header_names: tuple[str, ...] = ()
    test: bool = False


# ---------------------------------------------------------------- configuration


class PayloadValidation(StrEnum):
    OFF = "off"
    WARN = "warn"
    REJECT = "reject"


class Business(Value, frozen=True, kw_only=True):
    business_id: int
    name: str
    external_id: str | None
    enabled: bool
    payload_validation: PayloadValidation
    created_at: int


class IntegrationState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class Profile(StrEnum):
    IQRA = "iqra"
    STANDARD = "standard"


class BodyFormat(StrEnum):
    """How an event is written for a receiver: chosen when an integration is made, and kept."""

    IQRA = "iqra"
    STANDARD = "standard"
    CLOUDEVENTS = "cloudevents"


class SecretState(StrEnum):
    CURRENT = "current"
    OUTGOING = "outgoing"


class Secret(Value, frozen=True, kw_only=True):
    """A signing secret at rest; `sealed` is opened by the key ring with `secret_id` as its name."""

    secret_id: int
    state: SecretState
    sealed: bytes
    ends_in: str
    created_at: int
    expires_at: int | None = None


class IntegrationSettings(Value, frozen=True, kw_only=True):
    """What may be set beside `Fields`; None is the profile's (or the product's) default."""

    profile: Profile = Profile.IQRA
    format: BodyFormat = BodyFormat.IQRA
    timeout_seconds: int | None = None
    retry_schedule: tuple[int, ...] | None = None
    success_codes: tuple[int, ...] | None = None
    max_concurrency: int | None = None
    description: str | None = None


DEFAULT_MAX_CONCURRENCY = 50


class Integration(Value, frozen=True, kw_only=True):
    integration_id: int
    business_id: int
    type: str
    friendly_name: str
    url: str
    events: tuple[str, ...]
    settings: IntegrationSettings
    sealed_headers: bytes | None
    secrets: tuple[Secret, ...]
    state: IntegrationState
    state_reason: str | None
    state_since: int
    created_at: int
    updated_at: int
    version: int

    @property
    def max_concurrency(self) -> int:
        return self.settings.max_concurrency or DEFAULT_MAX_CONCURRENCY


class Scope(StrEnum):
    PUBLISH = "publish"
    READ = "read"
    MANAGE = "manage"
    OPERATOR = "operator"


class ApiKey(Value, frozen=True, kw_only=True):
    """A key as stored: `digest` is the SHA-256 of what its owner holds. No businesses means all."""

    key_id: int
    friendly_name: str
    scopes: frozenset[Scope]
    business_ids: frozenset[int]
    digest: bytes
    ends_in: str
    created_at: int

    @property
    def actor(self) -> str:
        return f"key:{self.friendly_name}"

    @property
    def described(self) -> str:
        return "this key"

    @property
    def surveys(self) -> bool:
        return self.allows(Scope.OPERATOR) and not self.business_ids

    def allows(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.OPERATOR in self.scopes

    def reaches(self, business_id: int) -> bool:
        return not self.business_ids or business_id in self.business_ids
