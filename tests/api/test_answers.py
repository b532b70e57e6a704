"""Errors as answers: each has one status and one code, and what is ours stays ours."""

from __future__ import annotations

import json
import logging

import pytest

from ringback import errors
from ringback.api.answers import STATUS, Answer, Code, answer_of, success
from ringback.errors import FieldError

EXPECTED = [
    (errors.InvalidRequest(FieldError("Fields.Url", "is bad")), 422, "VALIDATION_FAILED"),
    (errors.InvalidJson("no"), 400, "INVALID_JSON"),
    (errors.BodyTooLarge("no"), 413, "PAYLOAD_TOO_LARGE"),
    (errors.UnsupportedMediaType("no"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    (errors.InvalidApiKey("no"), 401, "INVALID_API_KEY"),
    (errors.PermissionDenied("no"), 403, "PERMISSION_DENIED"),
    (errors.BusinessDisabled("no"), 403, "BUSINESS_DISABLED"),
    (errors.NotFound("no"), 404, "NOT_FOUND"),
    (errors.Conflict("no"), 409, "CONFLICT"),
    (errors.Poisoned("no"), 422, "VALIDATION_FAILED"),
    (errors.Unavailable("no", 7), 503, "OVERLOADED"),
    (errors.StoreUnavailable("no"), 503, "OVERLOADED"),
    (errors.StaleSnapshot("no"), 503, "OVERLOADED"),
    (errors.StoreBroken("no"), 500, "INTERNAL_ERROR"),
    (errors.ConfigurationError("no"), 500, "INTERNAL_ERROR"),
    (KeyError("no"), 500, "INTERNAL_ERROR"),
]


def header(answer: Answer, name: bytes) -> bytes | None:
    return dict(answer.headers).get(name)


@pytest.mark.parametrize(("error", "status", "code"), EXPECTED, ids=lambda part: type(part).__name__)
def test_each_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    answer = answer_of(error)
    envelope = json.loads(answer.body)

    assert (answer.status, envelope["Code"]) == (status, code)
    assert envelope["Success"] is False
    assert envelope["Data"] is None
    assert STATUS[Code(code)] == status


def test_every_refusal_has_an_answer_that_is_not_an_internal_error() -> None:
    for kind in errors.Refused.__subclasses__():
        error = kind(FieldError("X", "y")) if kind is errors.InvalidRequest else kind("why")
        assert answer_of(error).status < 500


def test_fields_at_fault_are_named() -> None:
    fault = errors.InvalidRequest(FieldError("Fields.Url", "is bad"), FieldError("[3].EventType", "is odd"))

    assert json.loads(answer_of(fault).body)["Errors"] == [
        {"Field": "Fields.Url", "Message": "is bad"},
        {"Field": "[3].EventType", "Message": "is odd"},
    ]


def test_unknown_errors_are_logged_under_the_id_that_is_answered_and_say_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_of(RuntimeError("the database password is 1234"))

    request_id = header(answer, b"x-request-id")
    assert request_id is not None
    assert b"1234" not in answer.body
    assert request_id.decode() in caplog.text


def test_the_inside_of_a_store_error_stays_inside() -> None:
    assert b"sqlite" not in answer_of(errors.StoreUnavailable("sqlite: disk I/O at /var/lib")).body


def test_unavailable_says_when_to_try_again() -> None:
    assert header(answer_of(errors.Unavailable("full", 7)), b"retry-after") == b"7"
    assert header(answer_of(errors.StoreUnavailable("full")), b"retry-after") == b"1"


def test_a_success_has_the_whole_envelope_and_its_length() -> None:
    answer = success({"EventId": "evt_1"}, 202, "req_1")

    assert json.loads(answer.body) == {
        "Success": True,
        "Data": {"EventId": "evt_1"},
        "Code": None,
        "Message": None,
    }
    assert header(answer, b"content-length") == str(len(answer.body)).encode()
    assert header(answer, b"x-request-id") == b"req_1"


def test_request_ids_differ() -> None:
    assert header(success(None), b"x-request-id") != header(success(None), b"x-request-id")
