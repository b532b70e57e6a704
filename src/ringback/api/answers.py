"""Every answer's shape, and the one place where an error becomes a status, a code and words.

Free of any web framework: the publish route writes an `Answer` straight to the wire, the control
plane wraps it in a response.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple

import msgspec

from ringback.errors import (
    BodyTooLarge,
    BusinessDisabled,
    Conflict,
    FieldError,
    InvalidApiKey,
    InvalidJson,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    Poisoned,
    RateLimited,
    RingbackError,
    StaleSnapshot,
    StoreUnavailable,
    Unavailable,
    UnsupportedMediaType,
    UserDisabled,
)

log = logging.getLogger(__name__)


class Code(StrEnum):
    """The stable codes of `Code` in an answer."""

    INVALID_JSON = "INVALID_JSON"
    INVALID_API_KEY = "INVALID_API_KEY"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    USER_DISABLED = "USER_DISABLED"
    BUSINESS_DISABLED = "BUSINESS_DISABLED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    CONFLICT = "CONFLICT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    VALIDATION_FAILED = "VALIDATION_FAILED"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    OVERLOADED = "OVERLOADED"


STATUS: dict[Code, int] = {
    Code.INVALID_JSON: 400,
    Code.INVALID_API_KEY: 401,
    Code.PERMISSION_DENIED: 403,
    Code.USER_DISABLED: 403,
    Code.BUSINESS_DISABLED: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.CONFLICT: 409,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.VALIDATION_FAILED: 422,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL_ERROR: 500,
    Code.OVERLOADED: 503,
}

# An error that is not here (nor any class above it) is ours: logged, and answered without details.
# `StoreBroken` is absent on purpose: a 503 would promise that nothing was accepted.
_CODES: dict[type[RingbackError], Code] = {
    InvalidRequest: Code.VALIDATION_FAILED,
    InvalidJson: Code.INVALID_JSON,
    BodyTooLarge: Code.PAYLOAD_TOO_LARGE,
    UnsupportedMediaType: Code.UNSUPPORTED_MEDIA_TYPE,
    InvalidApiKey: Code.INVALID_API_KEY,
    PermissionDenied: Code.PERMISSION_DENIED,
    UserDisabled: Code.USER_DISABLED,
    BusinessDisabled: Code.BUSINESS_DISABLED,
    NotFound: Code.NOT_FOUND,
    Conflict: Code.CONFLICT,
    RateLimited: Code.RATE_LIMITED,
    Poisoned: Code.VALIDATION_FAILED,
    Unavailable: Code.OVERLOADED,
    StoreUnavailable: Code.OVERLOADED,
    StaleSnapshot: Code.OVERLOADED,
}

UNAVAILABLE_WORDS = "the database cannot take this now; nothing was changed, try again"
# What the sender reads where the error's own words are about our inside.
_WORDS: dict[type[RingbackError], str] = {
    Poisoned: "this request holds data that cannot be stored",
    StoreUnavailable: UNAVAILABLE_WORDS,
    StaleSnapshot: "the configuration is changing; nothing was accepted, try again",
}
INTERNAL_WORDS = "something went wrong on our side; the request id finds it in the server's log"
INVALID_WORDS = "the request is not valid; see Errors"

RETRY_AFTER_SECONDS = 1
REQUEST_ID_HEADER = "X-Request-Id"

RawHeader = tuple[bytes, bytes]


class Answer(NamedTuple):
    """A complete answer: `headers` hold Content-Type, Content-Length and X-Request-Id too."""

    status: int
    headers: list[RawHeader]
    body: bytes


_REQUESTS = count(1)
_START = os.urandom(6).hex()


def new_request_id() -> str:
    """Unique over processes and restarts by its first part, within one by its second."""
    return f"req_{_START}{next(_REQUESTS):08x}"


def success(data: Any, status: int = 200, request_id: str | None = None) -> Answer:
    """`data` is anything msgspec encodes, `msgspec.Raw` too."""
    envelope = {"Success": True, "Data": data, "Code": None, "Message": None}
    return _answer(status, envelope, request_id or new_request_id())


def failure(
    code: Code,
    message: str,
    errors: Sequence[FieldError] = (),
    request_id: str | None = None,
    headers: Sequence[RawHeader] = (),
) -> Answer:
    """`Errors` is there where fields are at fault."""
    envelope: dict[str, Any] = {"Success": False, "Data": None, "Code": code, "Message": message}
    if errors:
        envelope["Errors"] = [{"Field": one.field, "Message": one.message} for one in errors]
    return _answer(STATUS[code], envelope, request_id or new_request_id(), headers)


def answer_of(error: Exception, request_id: str | None = None) -> Answer:
    """The answer to a request that ended in this error; what is not the sender's affair is logged."""
    request_id = request_id or new_request_id()
    kind = _known(type(error))
    if kind is None:
        log.error("request %s failed", request_id, exc_info=error)
        return failure(Code.INTERNAL_ERROR, INTERNAL_WORDS, request_id=request_id)
    if isinstance(error, InvalidRequest):
        return failure(Code.VALIDATION_FAILED, INVALID_WORDS, error.errors, request_id)
    words = _WORDS.get(kind) or str(error)
    return failure(_CODES[kind], words, request_id=request_id, headers=_extra_headers(error, _CODES[kind]))


def _known(kind: type[Exception]) -> type[RingbackError] | None:
    return next((parent for parent in kind.__mro__ if parent in _CODES), None)


def _extra_headers(error: Exception, code: Code) -> list[RawHeader]:
    if code is Code.OVERLOADED:
        seconds = error.retry_after if isinstance(error, Unavailable) else RETRY_AFTER_SECONDS
        return [(b"retry-after", b"%d" % seconds)]
    if isinstance(error, RateLimited):
        return [(b"retry-after", b"%d" % error.retry_after), (b"x-ratelimit-remaining", b"0")]
    if code is Code.INVALID_API_KEY:
        return [(b"www-authenticate", b"Token")]
    return []


def _answer(status: int, envelope: Any, request_id: str, extra: Sequence[RawHeader] = ()) -> Answer:
    body = msgspec.json.encode(envelope)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    return Answer(status, headers, body)
