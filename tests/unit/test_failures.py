"""Every attempt has exactly one class, or none."""

from __future__ import annotations

import pytest

from ringback.failures import FAILURES, FailureClass, class_of_status, classify

C = FailureClass
STATUSES = {
    201: C.SUCCESS_NOT_200,
    299: C.SUCCESS_NOT_200,
    300: C.REDIRECT_REFUSED,
    301: C.REDIRECT_REFUSED,
    308: C.REDIRECT_REFUSED,
    400: C.REJECTED_4XX,
    401: C.UNAUTHORIZED_401_403,
    403: C.UNAUTHORIZED_401_403,
    404: C.NOT_FOUND_404,
    405: C.METHOD_405,
    409: C.CONFLICT_409,
    410: C.GONE_410,
    413: C.PAYLOAD_413,
    415: C.MEDIA_415,
    418: C.REJECTED_4XX,
    422: C.REJECTED_4XX,
    429: C.RATE_LIMITED_429,
    500: C.SERVER_500,
    501: C.SERVER_500,
    502: C.BAD_GATEWAY_502,
    503: C.UNAVAILABLE_503,
    504: C.GATEWAY_TIMEOUT_504,
    599: C.SERVER_500,
}


def test_the_table_has_every_class() -> None:
    assert set(FAILURES) == set(FailureClass)
    assert all(kind.title for kind in FAILURES.values())


@pytest.mark.parametrize(("status", "failure"), STATUSES.items())
def test_the_class_of_a_status(status: int, failure: FailureClass) -> None:
    assert classify(None, status, {200}) is failure


@pytest.mark.parametrize("status", range(100, 1000))
def test_every_status_has_a_class(status: int) -> None:
    assert class_of_status(status) in FAILURES


def test_what_counts_as_success_has_none() -> None:
    assert classify(None, 200, {200}) is None
    assert classify(None, 204, range(200, 300)) is None
    assert classify(None, 302, {302}) is None


def test_transport_comes_before_status() -> None:
    assert classify(C.RESPONSE_TRUNCATED, 200, {200}) is C.RESPONSE_TRUNCATED
    assert classify(C.TOO_LARGE, 301, {200}) is C.TOO_LARGE


def test_no_answer_and_no_reason_is_our_own_fault() -> None:
    assert classify(None, None, {200}) is C.SENDER_ERROR
    assert [failure for failure, kind in FAILURES.items() if not kind.counts_against_health] == [
        C.SENDER_ERROR
    ]
