"""What receivers get, as the OpenAPI document's `webhooks`: one for each built-in event type."""

from __future__ import annotations

from typing import Any

import msgspec

from ringback.catalog import BUILT_IN, EventType
from ringback.envelope import body_of
from ringback.model import Message

_EVENT_ID = "evt_01kb3v9q2m4xaf0t8c5d6e7g9h"
_BUSINESS_ID = 123
_NOON = 1_795_435_200_000

# Name, whether it is always there, meaning, an example.
_HEADERS = (
    ("webhook-id", True, "The EventId: the same on every attempt and replay", _EVENT_ID),
    ("webhook-timestamp", True, "Unix seconds of this attempt", "1795435200"),
    (
        "webhook-signature",
        False,
        "Standard Webhooks: `v1,` and base64 of HMAC-SHA256 of `id.timestamp.body`, one for each valid"
        " secret, separated by spaces; absent without a secret",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "X-Iqra-Signature",
        False,
        "Lower-case hex of HMAC-SHA256 of the raw body; absent without a secret",
        "5d41402abc4b2a76b9719d911017c592a1b2c3d4e5f60718293a4b5c6d7e8f90",
    ),
    ("webhook-attempt", True, "1, 2, … Informational, not signed", "1"),
    ("webhook-test", False, "`true` on a test send, absent otherwise", "true"),
    ("webhook-replay", False, "`true` on an attempt asked for by hand, absent otherwise", "true"),
)
_RESPONSES = {
    "200": {
        "description": "Received. In the profile `iqra` only 200 counts as success, in `standard` any 2xx;"
        " the body is kept to look at and means nothing"
    },
    "410": {"description": "In the profile `standard` it disables the integration; else a failure as others"},
    "429": {"description": "A failure; `Retry-After` delays the next attempt by up to 24 h, as with 503"},
    "default": {
        "description": "A failure: tried again as the integration's schedule says. A redirect is not followed"
    },
}


def webhooks() -> dict[str, Any]:
    """By event type. In the body format `iqra`: in `standard` and `cloudevents` the same `Data` is `data`."""
    parameters = [_parameter(*header) for header in _HEADERS]
    return {name: {"post": _operation(event_type, parameters)} for name, event_type in BUILT_IN.items()}


def _operation(event_type: EventType, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tags": ["Webhooks"],
        "summary": event_type.name,
        "description": event_type.description,
        "operationId": f"webhook_{event_type.name.replace('.', '_')}",
        "deprecated": event_type.deprecated,
        "security": [],
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _body(event_type), "example": _example(event_type)}},
        },
        "responses": _RESPONSES,
    }


def _parameter(name: str, always: bool, meaning: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": always,
        "description": meaning,
        "schema": {"type": "string"},
        "example": example,
    }


def _body(event_type: EventType) -> dict[str, Any]:
    properties = {
        "EventType": {"type": "string", "const": event_type.name},
        "EventId": {"type": "string", "description": "Keep it to recognise repeats"},
        "Timestamp": {"type": "string", "format": "date-time", "description": "When it occurred, UTC"},
        "BusinessId": {"type": "integer"},
        "Data": {name: value for name, value in event_type.schema.items() if name != "$schema"},
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _example(event_type: EventType) -> Any:
    message = Message(
        event_id=_EVENT_ID,
        event_type=event_type.name,
        business_id=_BUSINESS_ID,
        timestamp=_NOON,
        data=msgspec.json.encode(event_type.example),
    )
    return msgspec.json.decode(body_of(message))
