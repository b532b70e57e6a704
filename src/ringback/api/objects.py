"""The objects of the API as its readers see them. A null means: not set, not there, or not yet known."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from ringback.failures import FailureClass
from ringback.match import WhyNot
from ringback.model import BodyFormat, IntegrationState, PayloadValidation, Profile, Scope, SecretState

T = TypeVar("T")
Time = Annotated[str, Field(examples=["2026-11-23T12:00:00.000Z"], description="UTC, milliseconds")]
EventIdText = Annotated[str, Field(examples=["evt_01kb3v9q2m4xaf0t8c5d6e7g9h"])]
EventTypeName = Annotated[str, Field(examples=["call.completed"])]
IntegrationId = Annotated[str, Field(examples=["intg_01kb3v9q2m4xa"])]
DeliveryId = Annotated[str, Field(examples=["dlv_01kb3v9q2m4xb"])]


class ShownState(StrEnum):
    """What a delivery's state is shown as: the stored ones, and `held`."""

    QUEUED = "queued"
    SENDING = "sending"
    RETRYING = "retrying"
    HELD = "held"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Shown(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_pascal, validate_by_name=True, serialize_by_alias=True, frozen=True
    )


class Envelope(Shown, Generic[T]):
    """What every successful answer under /api/v1 looks like."""

    success: Literal[True] = True
    data: T
    code: None = None
    message: None = None


class Page(Shown, Generic[T]):
    """Newest first. A page may hold fewer items than `Limit` and still have a next one."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass it as `Cursor`; null at the end")


class FieldFault(Shown):
    field: str = Field(examples=["Fields.Url"])
    message: str


class Failure(Shown):
    """What every refused call is answered with. `Errors` is there where fields are at fault."""

    success: Literal[False] = False
    data: None = None
    code: str = Field(examples=["VALIDATION_FAILED"])
    message: str
    errors: list[FieldFault] = []


# ---------------------------------------------------------------- businesses and keys


class Business(Shown):
    business_id: int = Field(examples=[123])
    name: str = Field(examples=["Acme Support"])
    external_id: str | None = Field(examples=["acme-eu-1"])
    enabled: bool
    payload_validation: PayloadValidation
    created_at: Time


class Key(Shown):
    """An API key without the key itself."""

    id: str = Field(examples=["key_01kb3v9q2m4xa"])
    friendly_name: str = Field(examples=["Production publisher"])
    scopes: list[Scope]
    restricted_business_ids: list[int] = Field(description="Empty means all businesses")
    ends_in: str = Field(examples=["x9Qz"])
    created_at: Time


class NewKey(Key):
    key: str = Field(description="In this one answer only", examples=["rbk_…"])


class EventType(Shown):
    event_type: EventTypeName
    description: str
    schema_: dict[str, Any] = Field(alias="Schema", description="JSON Schema (draft 2020-12) of `Data`")
    example: dict[str, Any]
    built_in: bool
    deprecated: bool


# ---------------------------------------------------------------- integrations


class IntegrationFields(Shown):
    url: str = Field(examples=["https://example.com/hooks"])
    events: list[str] = Field(examples=[["call.completed", "conversation.*"]])


class Secret(Shown):
    id: str = Field(examples=["sec_01kb3v9q2m4xa"])
    state: SecretState
    ends_in: str = Field(examples=["x9Qz"])
    created_at: Time
    expires_at: Time | None


class Integration(Shown):
    """Settings are shown as they are in force: the profile's where none of its own is set."""

    id: IntegrationId
    business_id: int = Field(examples=[123])
    type: Literal["webhook"] = "webhook"
    friendly_name: str = Field(examples=["Production Event Handler"])
    fields_: IntegrationFields = Field(alias="Fields")
    state: IntegrationState
    state_reason: str | None
    state_since: Time
    secrets: list[Secret]
    profile: Profile
    format: BodyFormat
    timeout_seconds: int = Field(examples=[5])
    retry_schedule: list[int] = Field(description="Seconds", examples=[[60, 300, 900, 3600, 21600]])
    success_codes: list[int] = Field(examples=[[200]])
    max_concurrency: int = Field(examples=[50])
    rate_limit_per_second: int | None = None
    ordered: bool | None = None
    headers: dict[str, str] = Field(description="Values are masked", examples=[{"X-Team": "***"}])
    description: str | None
    created_at: Time
    updated_at: Time
    version: int = Field(description="Send it back in a PATCH to be refused on a lost update")


class CreatedIntegration(Integration):
    secret: str | None = Field(
        repr=False, description="A generated secret, in this one answer only; else null"
    )


class RevealedSecret(Shown):
    id: str = Field(examples=["sec_01kb3v9q2m4xa"])
    secret: str = Field(repr=False, description="As it was generated or given", examples=["whsec_…"])
    standard_secret: str = Field(
        repr=False, description="The form that Standard Webhooks libraries take", examples=["whsec_…"]
    )


class OutgoingSecret(RevealedSecret):
    expires_at: Time | None


class CurrentSecret(RevealedSecret):
    created_at: Time
    outgoing: OutgoingSecret | None = Field(description="The one it replaces, while both count")


# ---------------------------------------------------------------- events and deliveries


class DeliveryRef(Shown):
    delivery_id: DeliveryId
    integration_id: IntegrationId
    state: ShownState


class NotSent(Shown):
    integration_id: IntegrationId
    reason: WhyNot


class EventSummary(Shown):
    event_id: EventIdText
    event_type: EventTypeName
    business_id: int = Field(examples=[123])
    timestamp: Time
    accepted_at: Time
    schema_errors: str | None
    test: bool
    delivery_count: int = Field(description="Integrations it went to when it was accepted")


class Event(EventSummary):
    data: dict[str, Any] | None = Field(description="As published; null past retention")
    deliveries: list[DeliveryRef]
    not_sent: list[NotSent] = Field(
        description="The integrations that got nothing of it, and why; of many the newest 1,000"
    )


class Delivery(Shown):
    id: DeliveryId
    event_id: EventIdText
    event_type: EventTypeName
    integration_id: IntegrationId
    integration_name: str
    state: ShownState
    attempt_count: int
    max_attempts: int
    next_attempt_at: Time | None
    last_status: int | None
    last_failure_class: FailureClass | None
    test: bool
    replay: bool
    created_at: Time
    finished_at: Time | None


class Retried(Shown):
    """What was done about one delivery, or why nothing was."""

    id: DeliveryId
    retried: bool
    state: ShownState | None = Field(description="As it is now; null where there is no such delivery")
    code: str | None = Field(description="Why not: NOT_FOUND or CONFLICT", examples=["CONFLICT"])
    message: str | None = Field(examples=["its integration is deleted"])


class RetriedItems(Shown):
    items: list[Retried] = Field(description="In the order of `Ids`")


class Timings(Shown):
    """Milliseconds by phase; null where a phase was not reached or not needed."""

    dns_ms: float | None
    connect_ms: float | None
    tls_ms: float | None
    first_byte_ms: float | None
    total_ms: float


class Attempt(Shown):
    number: int
    started_at: Time
    duration_ms: float
    timings: Timings
    status: int | None
    failure_class: FailureClass | None
    detail: str | None = Field(description="What was seen, where there was no complete answer")
    replay: bool
    request_headers: dict[str, str] = Field(description="Signatures and custom values are masked")
    response_headers: dict[str, str]
    response_body: str | None = Field(description="The first 16 KiB")
    response_truncated: bool
    remote_address: str | None
    http_version: str | None


class Explanation(Shown):
    """What happened, why, what comes next and what to do, in words."""

    failure: FailureClass | None = Field(
        alias="Class", description="Of the last attempt; null where it did not fail", examples=["tls_expired"]
    )
    title: str = Field(examples=["Not delivered yet: the certificate has expired"])
    evidence: str = Field(
        description="What was seen",
        examples=["The certificate of hooks.acme.com expired on 3 May 2026, 2 days before, 3 times"],
    )
    cause: str | None = Field(examples=["The certificate was not renewed in time"])
    fix: str | None = Field(examples=["Renew the certificate and reload the receiver's server"])
    next: str = Field(
        description="What comes next by itself",
        examples=["Attempt 4 of 6 at 15:14:07 UTC (in 12 m), the last one at about 21:29 UTC"],
    )


class DeliveryDetail(Delivery):
    attempts: list[Attempt]
    explanation: Explanation


class TestSend(Shown):
    delivery_id: DeliveryId
    attempt: Attempt
    explanation: Explanation


class Published(Shown):
    event_id: EventIdText
    deliveries: int = Field(description="Integrations it goes to", examples=[2])
    duplicate: bool = Field(description="The EventId was known: nothing is delivered again")
