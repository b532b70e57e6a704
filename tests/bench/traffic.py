"""What is published: a `call.completed` of about 600 bytes, numbered so that each one can be found again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

EVENT_TYPE = "call.completed"
DIGITS = 12
MARK = b'"Number":"'
_NUMBER = "#" * DIGITS

DATA = {
    "QueueId": "queue_01kb4q2v8tqf5",
    "SessionId": "session_01kb4q2w0c9dn",
    "CampaignId": "campaign_spring_renewals",
    "AgentId": "agent_01k9xw7e4m2bz",
    "From": "+14155550123",
    "To": "+442071838750",
    "Direction": "outbound",
    "StartedAt": "2026-11-23T11:57:46.120Z",
    "EndedAt": "2026-11-23T12:00:00.480Z",
    "DurationSeconds": 134.36,
    "EndType": "UserEndedCall",
    "Metadata": {"Number": _NUMBER, "CrmContact": "contact_88213", "Team": "renewals", "Locale": "en-GB"},
}

# The number of an event to the bytes of the request that publishes it.
Requests = Callable[[int], bytes]


@dataclass(frozen=True)
class Door:
    """Where one connection publishes: an address, the path and the key."""

    host: str
    port: int
    path: str
    api_key: str


def frame(*, with_event_id: bool) -> bytes:
    """One event as published; `#` stands where its number goes."""
    given = {"EventId": f"evt_bench_{_NUMBER}"} if with_event_id else {}
    return json.dumps({"EventType": EVENT_TYPE, **given, "Data": DATA}, separators=(",", ":")).encode()


def numbered(template: bytes) -> Requests:
    """Fills numbers in; whatever else the request has was made beforehand."""
    pieces = template.split(_NUMBER.encode())
    return lambda number: (b"%012d" % number).join(pieces)


def number_in(body: bytes) -> int:
    start = body.index(MARK) + len(MARK)
    return int(body[start : start + DIGITS])


def request(door: Door, body: bytes) -> bytes:
    return (
        f"POST {door.path} HTTP/1.1\r\nHost: {door.host}:{door.port}\r\n"
        f"Authorization: Token {door.api_key}\r\nUser-Agent: ringback-bench\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def singles(doors: Sequence[Door], *, with_event_id: bool = False) -> list[Requests]:
    """For each door, its requests of one event each."""
    body = frame(with_event_id=with_event_id)
    return [numbered(request(door, body)) for door in doors]


def batches(doors: Sequence[Door], events: int) -> list[Requests]:
    """For each door, its requests of an array of so many events, all of the same number."""
    body = b"[" + b",".join([frame(with_event_id=False)] * events) + b"]"
    return [numbered(request(door, body)) for door in doors]


def delivered_body() -> bytes:
    """One event's body as a receiver gets it, with number 0."""
    compact = json.dumps(DATA, separators=(",", ":")).replace(_NUMBER, "0" * DIGITS)
    return (
        f'{{"EventType":"{EVENT_TYPE}","EventId":"evt_01kb4q2w4s0000000000000000",'
        f'"Timestamp":"2026-11-23T12:00:00.512Z","BusinessId":1,"Data":{compact}}}'
    ).encode()
