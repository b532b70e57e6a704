"""Keys on the hot path: plain functions on a snapshot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ringback.api.auth import authenticate, authorise
from ringback.apikeys import digest_of
from ringback.errors import BusinessDisabled, InvalidApiKey, NotFound, PermissionDenied
from ringback.match import BusinessView, Snapshot
from ringback.model import ApiKey, Business, PayloadValidation, Scope

SECRET = b"rbk_0123456789"
KEY = ApiKey(
    key_id=1,
    friendly_name="publisher",
    scopes=frozenset({Scope.PUBLISH}),
    business_ids=frozenset(),
    digest=digest_of(SECRET),
    ends_in="6789",
    created_at=0,
)


def business(business_id: int, *, enabled: bool = True) -> BusinessView:
    return BusinessView(
        Business(
            business_id=business_id,
            name="Acme",
            external_id=None,
            enabled=enabled,
            payload_validation=PayloadValidation.WARN,
            created_at=0,
        ),
        (),
    )


SNAPSHOT = Snapshot(1, {1: business(1), 2: business(2, enabled=False)}, {KEY.digest: KEY})


@pytest.mark.parametrize(
    "header", [b"Token " + SECRET, b"Bearer " + SECRET, b"token " + SECRET, b"BEARER   " + SECRET + b" "]
)
def test_a_key_is_known_by_either_scheme(header: bytes) -> None:
    assert authenticate(header, SNAPSHOT) is KEY


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Token",
        b"Token ",
        SECRET,
        b"Basic " + SECRET,
        b"Token " + SECRET + b"x",
        b"Token \xff\x00",
    ],
)
def test_anything_else_is_no_key_and_is_not_repeated(header: bytes | None) -> None:
    with pytest.raises(InvalidApiKey) as refusal:
        authenticate(header, SNAPSHOT)

    assert SECRET.decode() not in str(refusal.value)


def key(**fields: Any) -> ApiKey:
    return msgspec.structs.replace(KEY, **fields)


def test_a_key_reaches_all_businesses_or_those_it_names() -> None:
    assert authorise(KEY, Scope.PUBLISH, 1, SNAPSHOT).business.business_id == 1
    assert authorise(key(business_ids=frozenset({1})), Scope.PUBLISH, 1, SNAPSHOT).business.business_id == 1
    with pytest.raises(NotFound):
        authorise(key(business_ids=frozenset({3})), Scope.PUBLISH, 1, SNAPSHOT)


def test_another_business_is_not_there_even_for_a_key_without_the_scope() -> None:
    with pytest.raises(NotFound):
        authorise(key(business_ids=frozenset({3}), scopes=frozenset()), Scope.READ, 1, SNAPSHOT)


def test_a_business_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        authorise(KEY, Scope.PUBLISH, 9, SNAPSHOT)


@pytest.mark.parametrize("scope", [Scope.READ, Scope.MANAGE, Scope.OPERATOR])
def test_a_scope_allows_itself_alone(scope: Scope) -> None:
    with pytest.raises(PermissionDenied):
        authorise(KEY, scope, 1, SNAPSHOT)


@pytest.mark.parametrize("scope", list(Scope))
def test_operator_allows_everything(scope: Scope) -> None:
    assert authorise(key(scopes=frozenset({Scope.OPERATOR})), scope, 1, SNAPSHOT)


def test_a_disabled_business_takes_no_events_and_can_be_read() -> None:
    with pytest.raises(BusinessDisabled):
        authorise(KEY, Scope.PUBLISH, 2, SNAPSHOT)
    assert authorise(key(scopes=frozenset({Scope.READ})), Scope.READ, 2, SNAPSHOT)
