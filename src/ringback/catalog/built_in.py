"""The nine event types that are always there: one call of Iqra from the queue to its end.

Their schemas say what must be there and leave room for more; their examples are what a test send carries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ringback.catalog.event_type import EventType
from ringback.schemas import DIALECT

Schema = dict[str, Any]

CLIENT_TYPES = ("Phone", "Web")
AGENT_TYPES = ("AI", "Human")
DIRECTIONS = ("outbound", "inbound")
ROLES = ("agent", "user", "system", "tool")
FAILURE_REASONS = ("NoAnswer", "DeclinedOrBusy", "VoicemailDetected", "Expired", "Canceled", "CarrierError")
CONVERSATION_ENDS = (
    "UserEndedCall",
    "AgentEndedCall",
    "UserSilenceTimeoutReached",
    "MaxConversationDurationReached",
    "VoicemailDetected",
    "MidSessionFailure",
)

_TEXT: Schema = {"type": "string"}
_NAME_TEXT: Schema = {"type": "string", "minLength": 1}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_MAP: Schema = {"type": "object"}
_PHONE: Schema = {"type": "string", "pattern": r"^\+[1-9][0-9]{1,14}$"}
_TIME: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$",
}


def _id(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}_[A-Za-z0-9_-]+$"}


def _one_of(values: tuple[str, ...]) -> Schema:
    return {"type": "string", "enum": list(values)}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(fields: Mapping[str, Schema]) -> Schema:
    """An object of these fields and any others. A name with `?` may be absent or null."""
    required = [name for name in fields if not name.endswith("?")]
    properties = {
        name.removesuffix("?"): _or_null(schema) if name.endswith("?") else schema
        for name, schema in fields.items()
    }
    return {"type": "object", "required": required, "properties": properties}


_CLIENT = {"ClientId": _NAME_TEXT, "ClientType": _one_of(CLIENT_TYPES), "JoinedAt": _TIME}
_GONE_CLIENT = {**_CLIENT, "LeftAt": _TIME, "LeaveReason": _TEXT}
_QUEUED_CALL = {"QueueId": _id("queue"), "CampaignId?": _NAME_TEXT, "AgentId": _id("agent")}
_LIVE_CALL = {"QueueId": _id("queue"), "SessionId": _id("session")}
_ENDS = {"From": _PHONE, "To": _PHONE}
_DIRECTION = {"Direction": _one_of(DIRECTIONS)}
_CONVERSATION = {"SessionId": _id("session"), "QueueId?": _id("queue"), "AgentId": _id("agent")}
_AGENT = {"SessionId": _id("session"), "AgentId": _id("agent"), "AgentType": _one_of(AGENT_TYPES)}

_FIELDS: dict[str, dict[str, Schema]] = {
    "call.initiated": {
        **_QUEUED_CALL,
        "NumberId": _NAME_TEXT,
        **_ENDS,
        "ScheduledTime?": _TIME,
        "DynamicVariables": _MAP,
        "Metadata": _MAP,
    },
    "call.started": {**_LIVE_CALL, "AgentId": _id("agent"), **_ENDS, **_DIRECTION, "StartedAt": _TIME},
    "call.completed": {
        **_LIVE_CALL,
        "CampaignId?": _NAME_TEXT,
        "AgentId": _id("agent"),
        **_ENDS,
        **_DIRECTION,
        "StartedAt": _TIME,
        "EndedAt": _TIME,
        "DurationSeconds": _SECONDS,
        "EndType": _one_of(CONVERSATION_ENDS),
        "Metadata": _MAP,
    },
    "call.failed": {
        **_QUEUED_CALL,
        **_ENDS,
        "FailedAt": _TIME,
        "Reason": _one_of(FAILURE_REASONS),
        "Message": _TEXT,
    },
    "conversation.started": {
        **_CONVERSATION,
        "StartTime": _TIME,
        "Clients": {"type": "array", "items": _object(_CLIENT)},
    },
    "conversation.message": {
        "SessionId": _id("session"),
        "MessageId": _id("msg"),
        "TurnIndex": _COUNT,
        "Role": _one_of(ROLES),
        "Content": _TEXT,
        "Language?": _NAME_TEXT,
        "SentAt": _TIME,
    },
    "conversation.ended": {
        **_CONVERSATION,
        "StartTime": _TIME,
        "EndTime": _TIME,
        "DurationSeconds": _SECONDS,
        "EndType": _one_of(CONVERSATION_ENDS),
        "MessageCount": _COUNT,
        "Clients": {"type": "array", "items": _object(_GONE_CLIENT)},
        "Summary?": _TEXT,
    },
    "agent.joined": {**_AGENT, "JoinedAt": _TIME},
    "agent.left": {**_AGENT, "LeftAt": _TIME, "Reason": _TEXT},
}

_DESCRIPTIONS = {
    "call.initiated": "An outbound call was put into the queue.",
    "call.started": "A call was connected.",
    "call.completed": "A connected call has ended.",
    "call.failed": "A call ended without having been connected.",
    "conversation.started": "The conversation of a connected call began.",
    "conversation.message": "Someone said something, or a tool answered.",
    "conversation.ended": "The conversation is over; its length, end and people are known.",
    "agent.joined": "An agent, artificial or human, joined the conversation.",
    "agent.left": "An agent left the conversation.",
}

_QUEUE = "queue_01kb3v9q2m4xa7t5"
_SESSION = "session_01kb3v9s6e1hw0c8"
_AGENT_ID = "agent_front_desk"
_CALL_EXAMPLE = {"AgentId": _AGENT_ID, "From": "+442079460958", "To": "+905321234567"}
_CLIENT_EXAMPLE = {
    "ClientId": "client_01kb3v9s7p",
    "ClientType": "Phone",
    "JoinedAt": "2026-11-23T12:00:04.120Z",
}
_AGENT_EXAMPLE = {"SessionId": _SESSION, "AgentId": _AGENT_ID, "AgentType": "AI"}

_EXAMPLES: dict[str, dict[str, Any]] = {
    "call.initiated": {
        "QueueId": _QUEUE,
        "CampaignId": "campaign_autumn_reminders",
        **_CALL_EXAMPLE,
        "NumberId": "number_london_1",
        "ScheduledTime": "2026-11-23T12:00:00.000Z",
        "DynamicVariables": {"CustomerName": "Elif Kaya", "AppointmentAt": "2026-11-25T09:30:00Z"},
        "Metadata": {"CrmId": "C-20418"},
    },
    "call.started": {
        "QueueId": _QUEUE,
        "SessionId": _SESSION,
        **_CALL_EXAMPLE,
        "Direction": "outbound",
        "StartedAt": "2026-11-23T12:00:04.000Z",
    },
    "call.completed": {
        "QueueId": _QUEUE,
        "SessionId": _SESSION,
        "CampaignId": "campaign_autumn_reminders",
        **_CALL_EXAMPLE,
        "Direction": "outbound",
        "StartedAt": "2026-11-23T12:00:04.000Z",
        "EndedAt": "2026-11-23T12:01:31.000Z",
        "DurationSeconds": 87,
        "EndType": "UserEndedCall",
        "Metadata": {"CrmId": "C-20418"},
    },
    "call.failed": {
        "QueueId": _QUEUE,
        "CampaignId": "campaign_autumn_reminders",
        **_CALL_EXAMPLE,
        "FailedAt": "2026-11-23T12:00:31.000Z",
        "Reason": "NoAnswer",
        "Message": "The callee did not answer within 30 seconds.",
    },
    "conversation.started": {
        "SessionId": _SESSION,
        "QueueId": _QUEUE,
        "AgentId": _AGENT_ID,
        "StartTime": "2026-11-23T12:00:04.180Z",
        "Clients": [_CLIENT_EXAMPLE],
    },
    "conversation.message": {
        "SessionId": _SESSION,
        "MessageId": "msg_01kb3v9t0r5n",
        "TurnIndex": 3,
        "Role": "user",
        "Content": "Could we make it Wednesday at half past nine instead?",
        "Language": "en",
        "SentAt": "2026-11-23T12:00:21.400Z",
    },
    "conversation.ended": {
        "SessionId": _SESSION,
        "QueueId": _QUEUE,
        "AgentId": _AGENT_ID,
        "StartTime": "2026-11-23T12:00:04.180Z",
        "EndTime": "2026-11-23T12:01:30.700Z",
        "DurationSeconds": 86.52,
        "EndType": "UserEndedCall",
        "MessageCount": 9,
        "Clients": [
            {**_CLIENT_EXAMPLE, "LeftAt": "2026-11-23T12:01:30.700Z", "LeaveReason": "Hung up"},
        ],
        "Summary": "The appointment was moved to Wednesday at 9:30.",
    },
    "agent.joined": {**_AGENT_EXAMPLE, "JoinedAt": "2026-11-23T12:00:04.210Z"},
    "agent.left": {**_AGENT_EXAMPLE, "LeftAt": "2026-11-23T12:01:30.650Z", "Reason": "The call ended."},
}


def _built_in() -> Iterator[EventType]:
    for name, fields in _FIELDS.items():
        yield EventType(
            name=name,
            description=_DESCRIPTIONS[name],
            schema={"$schema": DIALECT, **_object(fields)},
            example=_EXAMPLES[name],
            built_in=True,
        )


BUILT_IN: Mapping[str, EventType] = {one.name: one for one in _built_in()}


def warm_up() -> None:
    """Load the checker and compile the built-in schemas, so that no publish waits for it."""
    for one in BUILT_IN.values():
        one.problems(one.example)
