"""The error answers of a call, for its documentation: every code it can end in, with an example."""

from __future__ import annotations

from typing import Any

import msgspec

from ringback.api.answers import INTERNAL_WORDS, INVALID_WORDS, STATUS, UNAVAILABLE_WORDS, Code, failure
from ringback.api.objects import Failure
from ringback.errors import FieldError

Responses = dict[int | str, dict[str, Any]]

_EXAMPLES: dict[Code, str] = {
    Code.INVALID_JSON: "the body is not valid JSON: Expecting value, at character 0",
    Code.INVALID_API_KEY: "this API key is not known; it may have been revoked",
    Code.PERMISSION_DENIED: "this key does not have the scope `manage`",
    Code.USER_DISABLED: "this account is disabled",
    Code.BUSINESS_DISABLED: "business 123 is disabled and takes no events",
    Code.NOT_FOUND: "there is no business 123",
    Code.METHOD_NOT_ALLOWED: "this path takes GET, POST",
    Code.CONFLICT: "it was changed meanwhile; read it again",
    Code.PAYLOAD_TOO_LARGE: "the body may have at most 1,048,576 bytes",
    Code.UNSUPPORTED_MEDIA_TYPE: "send the body as `Content-Type: application/json`",
    Code.VALIDATION_FAILED: INVALID_WORDS,
    Code.RATE_LIMITED: "too many wrong passwords; wait 4 s",
    Code.INTERNAL_ERROR: INTERNAL_WORDS,
    Code.OVERLOADED: UNAVAILABLE_WORDS,
}
_ALWAYS = (
    Code.INVALID_API_KEY,
    Code.PERMISSION_DENIED,
    Code.USER_DISABLED,
    Code.VALIDATION_FAILED,
    Code.INTERNAL_ERROR,
    Code.OVERLOADED,
)
WITH_BODY = (Code.INVALID_JSON, Code.PAYLOAD_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE)


def refusals(*codes: Code, fault: FieldError | None = None) -> Responses:
    """These beside what every call can answer. `fault` is the example of VALIDATION_FAILED."""
    documented: Responses = {}
    for code in (*_ALWAYS, *codes):
        status = documented.setdefault(STATUS[code], _response(code))
        status["content"]["application/json"]["examples"][code.value] = {"value": _example(code, fault)}
    return documented


def _response(code: Code) -> dict[str, Any]:
    return {
        "model": Failure,
        "description": code.value.replace("_", " ").capitalize(),
        "content": {"application/json": {"examples": {}}},
    }


def _example(code: Code, fault: FieldError | None) -> Any:
    errors = (fault or FieldError("Limit", "must be at most 200"),) if code is Code.VALIDATION_FAILED else ()
    return msgspec.json.decode(failure(code, _EXAMPLES[code], errors).body)
