"""The one table of what can go wrong with an attempt, and the rule that picks exactly one class.

Transport comes first (there was no usable answer), then redirects, then the status.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    DNS_NOT_FOUND = "dns_not_found"
    DNS_TIMEOUT = "dns_timeout"
    BLOCKED_PRIVATE_ADDRESS = "blocked_private_address"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECTION_RESET = "connection_reset"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_NAME_MISMATCH = "tls_name_mismatch"
    TLS_PROTOCOL = "tls_protocol"
    PROXY_ERROR = "proxy_error"
    RESPONSE_TIMEOUT = "response_timeout"
    RESPONSE_TRUNCATED = "response_truncated"
    TOO_LARGE = "too_large"
    REDIRECT_REFUSED = "redirect_refused"
    UNAUTHORIZED_401_403 = "unauthorized_401_403"
    NOT_FOUND_404 = "not_found_404"
    METHOD_405 = "method_405"
    CONFLICT_409 = "conflict_409"
    GONE_410 = "gone_410"
    PAYLOAD_413 = "payload_413"
    MEDIA_415 = "media_415"
    REJECTED_4XX = "rejected_4xx"
    RATE_LIMITED_429 = "rate_limited_429"
    SERVER_500 = "server_500"
    BAD_GATEWAY_502 = "bad_gateway_502"
    UNAVAILABLE_503 = "unavailable_503"
    GATEWAY_TIMEOUT_504 = "gateway_timeout_504"
    SUCCESS_NOT_200 = "success_not_200"
    SENDER_ERROR = "sender_error"


@dataclass(frozen=True, slots=True)
class FailureKind:
    """What a class means for the schedule and for the endpoint's health."""

    title: str
    retried: bool = True
    counts_against_health: bool = True


_C = FailureClass
FAILURES: dict[FailureClass, FailureKind] = {
    _C.DNS_NOT_FOUND: FailureKind("The host name does not exist"),
    _C.DNS_TIMEOUT: FailureKind("The host name could not be looked up in time"),
    _C.BLOCKED_PRIVATE_ADDRESS: FailureKind("The host name leads to a private address"),
    _C.CONNECT_REFUSED: FailureKind("The connection was refused"),
    _C.CONNECT_TIMEOUT: FailureKind("No connection in time"),
    _C.CONNECTION_RESET: FailureKind("The connection was cut"),
    _C.TLS_EXPIRED: FailureKind("The certificate has expired"),
    _C.TLS_UNTRUSTED: FailureKind("The certificate is not trusted"),
    _C.TLS_NAME_MISMATCH: FailureKind("The certificate is for another name"),
    _C.TLS_PROTOCOL: FailureKind("TLS could not be agreed on"),
    _C.PROXY_ERROR: FailureKind("The outbound proxy failed"),
    _C.RESPONSE_TIMEOUT: FailureKind("No complete answer in time"),
    _C.RESPONSE_TRUNCATED: FailureKind("The answer ended half-way"),
    _C.TOO_LARGE: FailureKind("The answer's headers are too large"),
    _C.REDIRECT_REFUSED: FailureKind("It answered with a redirect"),
    _C.UNAUTHORIZED_401_403: FailureKind("The receiver did not let us in"),
    _C.NOT_FOUND_404: FailureKind("The receiver knows no such path"),
    _C.METHOD_405: FailureKind("The receiver takes no POST there"),
    _C.CONFLICT_409: FailureKind("The receiver saw a conflict"),
    _C.GONE_410: FailureKind("The endpoint is gone"),
    _C.PAYLOAD_413: FailureKind("The receiver found the body too large"),
    _C.MEDIA_415: FailureKind("The receiver does not take this content type"),
    _C.REJECTED_4XX: FailureKind("The receiver rejected the request"),
    _C.RATE_LIMITED_429: FailureKind("The receiver asked for fewer requests"),
    _C.SERVER_500: FailureKind("The receiver failed"),
    _C.BAD_GATEWAY_502: FailureKind("The receiver's gateway got no valid answer"),
    _C.UNAVAILABLE_503: FailureKind("The receiver is unavailable"),
    _C.GATEWAY_TIMEOUT_504: FailureKind("The receiver's gateway timed out"),
    _C.SUCCESS_NOT_200: FailureKind("It answered with a success that does not count"),
    _C.SENDER_ERROR: FailureKind("ringback itself failed", counts_against_health=False),
}

_BY_STATUS: dict[int, FailureClass] = {
    401: _C.UNAUTHORIZED_401_403,
    403: _C.UNAUTHORIZED_401_403,
    404: _C.NOT_FOUND_404,
    405: _C.METHOD_405,
    409: _C.CONFLICT_409,
    410: _C.GONE_410,
    413: _C.PAYLOAD_413,
    415: _C.MEDIA_415,
    429: _C.RATE_LIMITED_429,
    502: _C.BAD_GATEWAY_502,
    503: _C.UNAVAILABLE_503,
    504: _C.GATEWAY_TIMEOUT_504,
}


def classify(
    transport: FailureClass | None, status: int | None, success_codes: Container[int]
) -> FailureClass | None:
    """The one class of an attempt; None where it succeeded."""
    if transport is not None:
        return transport
    if status is None:
        return FailureClass.SENDER_ERROR
    if status in success_codes:
        return None
    return class_of_status(status)


def class_of_status(status: int) -> FailureClass:
    """The class of a status that does not count as success."""
    if 300 <= status < 400:
        return FailureClass.REDIRECT_REFUSED
    named = _BY_STATUS.get(status)
    if named is not None:
        return named
    if 200 <= status < 300:
        return FailureClass.SUCCESS_NOT_200
    return FailureClass.REJECTED_4XX if 400 <= status < 500 else FailureClass.SERVER_500
