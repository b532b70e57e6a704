"""A delivery on the wire: the body and the headers, byte for byte as receivers depend on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from ringback.model import BodyFormat, Message
from ringback.signing import SigningKey, standard_signature

JSON = "application/json"
MASK = "***"
_EPOCH = datetime(1970, 1, 1)
# An Integer of CloudEvents has 32 bits.
_MAX_CLOUDEVENTS_INTEGER = (1 << 31) - 1
RESERVED_HEADERS = frozenset(
    {
        "content-type",
        "user-agent",
        "x-iqra-signature",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "webhook-attempt",
        "webhook-test",
        "webhook-replay",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "expect",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "accept-encoding",
    }
)

Header = tuple[str, str]


def body_of(message: Message) -> bytes:
    """Compact JSON in the contract's order; `Data` is what the publisher sent, untouched."""
    return b'{"EventType":"%b","EventId":"%b","Timestamp":"%b","BusinessId":%d,"Data":%b}' % (
        message.event_type.encode(),
        message.event_id.encode(),
        iso_time(message.timestamp).encode(),
        message.business_id,
        message.data,
    )


def standard_body_of(message: Message) -> bytes:
    """As the Standard Webhooks specification advises."""
    return b'{"type":"%b","timestamp":"%b","data":%b}' % (
        message.event_type.encode(),
        iso_time(message.timestamp).encode(),
        message.data,
    )


def cloudevents_body_of(message: Message) -> bytes:
    """CloudEvents 1.0 in its JSON format, structured."""
    shown_id = b"%d" if message.business_id <= _MAX_CLOUDEVENTS_INTEGER else b'"%d"'
    return (
        b'{"specversion":"1.0","id":"%b","source":"/business/%d","type":"%b","time":"%b","businessid":'
        + shown_id
        + b',"data":%b}'
    ) % (
        message.event_id.encode(),
        message.business_id,
        message.event_type.encode(),
        iso_time(message.timestamp).encode(),
        message.business_id,
        message.data,
    )


class Wire(NamedTuple):
    """One body format: how a body is made, and what it is called."""

    body_of: Callable[[Message], bytes]
    content_type: str


WIRES: dict[BodyFormat, Wire] = {
    BodyFormat.IQRA: Wire(body_of, JSON),
    BodyFormat.STANDARD: Wire(standard_body_of, JSON),
    BodyFormat.CLOUDEVENTS: Wire(cloudevents_body_of, "application/cloudevents+json"),
}


def headers_of(
    message: Message,
    body: bytes,
    keys: Sequence[SigningKey],
    attempt: int,
    now: int,
    user_agent: str,
    *,
    content_type: str = JSON,
    test: bool = False,
    replay: bool = False,
    custom: Sequence[Header] = (),
) -> list[Header]:
    """All headers of one attempt. `keys`: none, the current one, or new first and outgoing second."""
    timestamp = now // 1000
    headers = _facts(content_type, message.event_id, timestamp, attempt, user_agent, test=test, replay=replay)
    if keys:
        headers.append(("webhook-signature", standard_signature(keys, message.event_id, timestamp, body)))
        headers.append(("X-Iqra-Signature", keys[-1].iqra_hex(body)))
    headers.extend(custom)
    return headers


def shown_headers(
    event_id: str,
    started_at: int,
    attempt: int,
    user_agent: str,
    signatures: int,
    custom_names: Sequence[str],
    *,
    content_type: str = JSON,
    test: bool,
    replay: bool,
) -> list[Header]:
    """The headers of a past attempt for people to read: signatures and custom values masked."""
    timestamp = started_at // 1000
    headers = _facts(content_type, event_id, timestamp, attempt, user_agent, test=test, replay=replay)
    if signatures:
        headers.append(("webhook-signature", " ".join([f"v1,{MASK}"] * signatures)))
        headers.append(("X-Iqra-Signature", MASK))
    headers.extend((name, MASK) for name in custom_names)
    return headers


def _facts(
    content_type: str,
    event_id: str,
    timestamp: int,
    attempt: int,
    user_agent: str,
    *,
    test: bool,
    replay: bool,
) -> list[Header]:
    headers = [
        ("Content-Type", content_type),
        ("User-Agent", user_agent),
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-attempt", str(attempt)),
    ]
    if test:
        headers.append(("webhook-test", "true"))
    if replay:
        headers.append(("webhook-replay", "true"))
    return headers


def iso_time(ms: int) -> str:
    """UTC with milliseconds: `2026-11-23T12:00:00.000Z`."""
    seconds, rest = divmod(ms, 1000)
    return f"{_iso_second(seconds)}.{rest:03d}Z"


def iso_time_or_none(ms: int | None) -> str | None:
    return None if ms is None else iso_time(ms)


@lru_cache(maxsize=1024)
def _iso_second(seconds: int) -> str:
    # Not fromtimestamp, which some platforms refuse for early years; isoformat writes four digits.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec="seconds")
