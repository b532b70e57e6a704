"""A refused certificate is looked at once more, so that its date, names and issuer are known."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.failures import FailureClass
from ringback.model import Outcome, Timings
from ringback.send.certificate import (
    Certificate,
    Looks,
    Place,
    place_of,
    with_evidence,
)
from ringback.send.x509 import certificate_of
from tests.send.conftest import Client
from tests.zoo import Zoo
from tests.zoo.certificates import new_key, self_signed

C = FailureClass
DAY = 86_400_000
NOW = int(datetime(2026, 5, 5, 12, tzinfo=UTC).timestamp() * 1000)
SHORT_MS = 400


async def test_what_is_shown_is_looked_at_once_and_remembered(client: Client, zoo: Zoo) -> None:
    url = zoo.tls_url("expired")

    outcomes = [await client.post(url) for _ in range(3)]

    assert {one.detail for one in outcomes} == {outcomes[0].detail}
    assert "expired on 3 May 2020" in (outcomes[0].detail or "")
    assert zoo.tls_connections("expired") == 3 + 1
    assert zoo.received == []


async def test_attempts_at_the_same_time_share_a_look(client: Client, zoo: Zoo) -> None:
    url = zoo.tls_url("wrong-name")

    outcomes = await asyncio.gather(*(client.post(url) for _ in range(5)))

    assert all("is for elsewhere.test" in (one.detail or "") for one in outcomes)
    assert zoo.tls_connections("wrong-name") <= 5 + 5
    assert client.sender.in_flight == 0


@pytest.mark.parametrize(
    ("kind", "evidence"),
    [
        ("self-signed", "the certificate of 127.0.0.1 is self-signed"),
        ("not-yet", "the certificate of 127.0.0.1 is not valid before 3 May 2999"),
    ],
)
async def test_other_reasons_not_to_trust_one(client: Client, zoo: Zoo, kind: str, evidence: str) -> None:
    outcome = await client.post(zoo.tls_url(kind))

    assert (outcome.transport, outcome.detail) == (C.TLS_UNTRUSTED, evidence)


async def test_a_look_that_gets_nowhere_changes_nothing_and_ends_with_the_attempt(
    client: Client, zoo: Zoo
) -> None:
    outcome = await client.post(zoo.tls_url("expired-once"), timeout_ms=SHORT_MS)

    assert (outcome.transport, outcome.detail) == (C.TLS_EXPIRED, "certificate has expired")
    assert outcome.timings.total_ms < SHORT_MS
    assert zoo.tls_connections("expired-once") == 2


async def test_nobody_waits_for_somebody_else_s_look(client: Client, zoo: Zoo) -> None:
    looking = client.start(zoo.tls_url("expired-once"))
    while zoo.tls_connections("expired-once") < 2:
        assert (await client.post(zoo.url())).status == 200

    assert not looking.done()
    assert (await looking).detail == "certificate has expired"


async def test_closing_tells_whoever_waits_for_a_look(client: Client, zoo: Zoo) -> None:
    looking = client.start(zoo.tls_url("expired-once"))
    while zoo.tls_connections("expired-once") < 2:
        await client.post(zoo.url())

    await client.sender.close()

    assert looking.done()
    assert (await looking).transport is C.TLS_EXPIRED
    assert client.sender.in_flight == 0


@pytest.mark.parametrize("seconds", [5.0, 0.0])
async def test_a_private_address_is_not_looked_at_nor_anything_without_time(zoo: Zoo, seconds: float) -> None:
    place = place_of("hooks.acme.com", zoo.tls_url("expired").split("/")[2], C.TLS_EXPIRED)
    looks = Looks(asyncio.get_running_loop(), allow_loopback=seconds == 0)
    shown: list[Certificate | None] = []

    looks.show(place, seconds, shown.append)

    assert shown == [None]
    assert zoo.tls_connections("expired") == 0
    await looks.close()


async def test_closing_tells_of_a_look_that_had_not_begun(zoo: Zoo) -> None:
    place = place_of("hooks.acme.com", zoo.tls_url("expired").split("/")[2], C.TLS_EXPIRED)
    looks = Looks(asyncio.get_running_loop(), allow_loopback=True)
    shown: list[Certificate | None] = []
    looks.show(place, 5.0, shown.append)

    await looks.close()
    looks.show(place_of("late.acme.com", "127.0.0.1:1", C.TLS_EXPIRED), 5.0, shown.append)

    assert shown == [None, None]


# ---------------------------------------------------------------- in words


def of(**fields: Any) -> Certificate:
    values: dict[str, Any] = {
        "names": (),
        "issuer": None,
        "self_signed": False,
        "valid_from": 0,
        "valid_until": NOW + DAY,
    }
    return Certificate(**{**values, **fields})


SENTENCES: dict[str, tuple[FailureClass, Certificate, str]] = {
    "days ago": (
        C.TLS_EXPIRED,
        of(valid_until=NOW - 2 * DAY),
        "expired on 3 May 2026 (2 days before this attempt)",
    ),
    "hours ago": (
        C.TLS_EXPIRED,
        of(valid_until=NOW - DAY // 8),
        "expired on 5 May 2026 (3 h before this attempt)",
    ),
    "another one": (
        C.TLS_EXPIRED,
        of(),
        "is valid until 6 May 2026, but one that vouches for it has expired",
    ),
    "names": (
        C.TLS_NAME_MISMATCH,
        of(names=("a", "b", "2 more")),
        "is for a, b and 2 more, not for hooks.acme.com",
    ),
    "nameless": (C.TLS_NAME_MISMATCH, of(), "is for no name at all, not for hooks.acme.com"),
    "issuer": (
        C.TLS_UNTRUSTED,
        of(issuer="R11, Let's Encrypt"),
        "was issued by “R11, Let's Encrypt”: no chain",
    ),
    "no issuer": (C.TLS_UNTRUSTED, of(), "was issued by an authority without a name: no chain"),
}


@pytest.mark.parametrize(("failure", "shown", "words"), SENTENCES.values(), ids=SENTENCES)
def test_what_it_says_of_itself(failure: FailureClass, shown: Certificate, words: str) -> None:
    place = Place(host="hooks.acme.com", address="203.0.113.7", port=443, failure=failure)
    outcome = Outcome(
        started_at=NOW - 9, ended_at=NOW, timings=Timings(), transport=failure, detail="no chain"
    )

    told = with_evidence(outcome, place, shown)

    assert told.detail == f"the certificate of hooks.acme.com {words}"
    assert with_evidence(outcome, place, None) is outcome


def test_addresses_of_both_families_are_places() -> None:
    assert place_of("a.test", "203.0.113.7:443", C.TLS_EXPIRED).address == "203.0.113.7"
    assert place_of("a.test", "[2001:db8::1]:8443", C.TLS_EXPIRED).address == "2001:db8::1"
    assert place_of("a.test", "[2001:db8::1]:8443", C.TLS_EXPIRED).port == 8443


def der_of(*names: x509.GeneralName, **more: str) -> bytes:
    return self_signed(new_key(), *names, **more).public_bytes(Encoding.DER)


def test_a_certificate_is_read() -> None:
    issued = trustme.CA().issue_cert("a.test", "*.b.test", "127.0.0.1", common_name="c.test")
    (pem, *_) = issued.cert_chain_pems

    read = certificate_of(ssl.PEM_cert_to_DER_cert(pem.bytes().decode()))

    assert (read.names, read.self_signed) == (("a.test", "*.b.test", "127.0.0.1"), False)
    assert (read.issuer or "").startswith("trustme")


def test_of_many_names_few_are_kept() -> None:
    many = [x509.DNSName(f"{number}.test") for number in range(2_000)]

    assert certificate_of(der_of(*many)).names == ("0.test", "1.test", "2.test", "1997 more")


def test_one_without_names_is_for_its_subject_and_hostile_names_are_made_harmless() -> None:
    read = certificate_of(der_of(common_name="evil\x1b[31m\u202e.test"))

    assert (read.names, read.self_signed) == (("evil [31m .test",), True)


@given(st.binary(max_size=200))
@example(b"")
def test_what_is_no_certificate_is_refused(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        certificate_of(der)


@given(place=st.integers(0, 500), flip=st.integers(1, 255))
def test_a_damaged_one_is_read_or_refused(place: int, flip: int) -> None:
    der = bytearray(GOOD)
    der[place % len(der)] ^= flip

    try:
        read = certificate_of(bytes(der))
    except ValueError:
        return
    assert all(name.isprintable() for name in (*read.names, read.issuer or ""))


GOOD = der_of(x509.DNSName("a.test"), x509.DNSName("b.test"))
