"""Rules about people that need no database: roles, ends of sessions, waits, addresses, passwords."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import ip_network
from typing import Literal

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from ringback.api.client_address import nearest_untrusted
from ringback.errors import Unavailable
from ringback.model import Scope
from ringback.people import (
    SCOPES,
    Credentials,
    Role,
    UserEdit,
    changed_fields,
    csrf_token,
    edited,
    email_key,
    ends_sessions,
    is_email,
    new_session,
    new_user,
)
from ringback.people.passwords import AT_A_TIME, MOST_WAITING, Passwords, generated
from ringback.people.patience import Tally, network_of, tallies, wait_ms

ADA = new_user(1, "ada@example.com", "Ada", Role.OPERATOR, 0)


# ---------------------------------------------------------------- roles and sessions


def test_each_role_may_what_the_one_below_may() -> None:
    assert SCOPES[Role.VIEWER] < SCOPES[Role.OPERATOR] < SCOPES[Role.OWNER] == frozenset(Scope)


@pytest.mark.parametrize(
    ("edit", "fields", "ends"),
    [
        (UserEdit(), (), False),
        (UserEdit(name="Ada", role=Role.OPERATOR, enabled=True), (), False),
        (UserEdit(name="Grace"), ("Name",), False),
        (UserEdit(name=None), ("Name",), False),
        (UserEdit(role=Role.VIEWER), ("Role",), True),
        (UserEdit(enabled=False), ("Enabled",), False),
        (UserEdit(password_hash="x"), ("Password",), True),
        (UserEdit(name="Grace", password_hash="x"), ("Name", "Password"), True),
    ],
)
def test_a_change_knows_what_it_changes_and_whether_sessions_end(
    edit: UserEdit, fields: tuple[str, ...], ends: bool
) -> None:
    after = edited(ADA, edit)

    assert changed_fields(ADA, after, edit) == fields
    assert ends_sessions(ADA, after, edit) is ends


def test_enabling_ends_the_sessions_of_before() -> None:
    disabled = edited(ADA, UserEdit(enabled=False))
    edit = UserEdit(enabled=True)

    assert ends_sessions(disabled, edited(disabled, edit), edit)


def test_nothing_secret_shows_in_a_repr() -> None:
    known = Credentials(user=ADA, password_hash="$argon2id$hash")
    edit = UserEdit(password_hash="$argon2id$hash")

    assert "argon2" not in f"{known!r} {edit!r} {[known]} {edit}"


def test_a_csrf_token_belongs_to_one_session_and_is_not_its_cookie() -> None:
    first, second = csrf_token(b"token 1"), csrf_token(b"token 2")

    assert first != second
    assert first == csrf_token(b"token 1")
    assert b"token 1" not in new_session(1, 1, b"token 1", "", 0).digest


@pytest.mark.parametrize(
    "text", ["a@b", "ada@example.com", "ada+x@mail.example.com", "jürgen@bücher.de", '"a@b"@c']
)
def test_what_may_be_an_email_address(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "@b", "ada", "a b@c", "a@b\n", "a\x00@b", "a\u200b@b", "x" * 254 + "@b"]
)
def test_what_is_none(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.COM"),
        ("j\u00fcrgen@b\u00fccher.de", "ju\u0308rgen@bu\u0308cher.de"),
        ("J\u00dcRGEN@x.de", "ju\u0308rgen@x.de"),
        ("\u0130@x.de", "i\u0307@x.de"),
    ],
)
def test_addresses_that_look_the_same_are_one(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


# ---------------------------------------------------------------- waits


@given(st.integers(0, 10_000), st.sampled_from(tallies("ada@example.com", "192.0.2.1", known=False)))
def test_waits_grow_and_stay_within_a_quarter_of_an_hour(wrong: int, tally: Tally) -> None:
    assert 0 <= wait_ms(tally, wrong) <= wait_ms(tally, wrong + 1) <= 15 * 60_000


def test_an_account_s_own_wait_stays_short() -> None:
    (account,) = [
        tally for tally in tallies("ada@example.com", "192.0.2.1", known=False) if not tally.address
    ]

    assert wait_ms(account, 10_000) == 60_000


def test_an_account_is_not_asked_for_where_the_address_is_known() -> None:
    assert all(tally.address for tally in tallies("ada@example.com", "192.0.2.1", known=True))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_one_machine_has_one_network(address: str, network: str) -> None:
    assert network_of(address) == network


# ---------------------------------------------------------------- addresses


PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("unknown", "198.51.100.1", "unknown"),
    ],
)
def test_only_what_a_trusted_proxy_says_counts(peer: str, forwarded: str, found: str) -> None:
    assert nearest_untrusted(peer, forwarded, PROXIES) == found
    assert nearest_untrusted(peer, forwarded, ()) == peer


@given(st.text(max_size=200), st.text(max_size=50))
def test_no_header_breaks_it(forwarded: str, peer: str) -> None:
    assert isinstance(nearest_untrusted(peer, forwarded, PROXIES), str)


# ---------------------------------------------------------------- passwords


async def test_a_password_matches_itself_alone() -> None:
    passwords = Passwords(Watched())
    stored = await passwords.hash("correct horse")

    assert stored.startswith("$argon2id$")
    assert await passwords.matches("correct horse", stored)
    for other in ("correct hors", "Correct horse", "correct horse ", ""):
        assert not await passwords.matches(other, stored)
    assert not await passwords.matches("correct horse", "no hash")
    assert await passwords.hash("correct horse") != stored


async def test_the_same_letter_may_be_composed_in_two_ways() -> None:
    passwords = Passwords(Watched())

    assert await passwords.matches("scho\u0308n und gut", await passwords.hash("sch\u00f6n und gut"))


class Watched(PasswordHasher):
    """Cheap; which hashes were compared, and how many were at work at once. `gate` holds them up."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.gate = threading.Event()
        self.gate.set()
        self.compared: list[str | bytes] = []
        self.at_work = self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        self.gate.wait()
        with self._lock:
            self.at_work -= 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.compared.append(hash)
        return super().verify(hash, password)


async def test_nobody_s_password_costs_a_comparison_as_somebody_s_does() -> None:
    hasher = Watched()
    passwords = Passwords(hasher)
    stored = await passwords.hash("correct horse")

    for password, known in (("guess", stored), ("guess", None), ("nobody has this password", None)):
        assert not await passwords.matches(password, known)

    assert len(hasher.compared) == 3
    for compared in hasher.compared:
        assert extract_parameters(str(compared)) == extract_parameters(stored)


async def test_few_are_computed_at_a_time_and_not_many_wait() -> None:
    hasher = Watched()
    passwords = Passwords(hasher)
    hasher.gate.clear()
    waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await passwords.hash("one too many")

    hasher.gate.set()
    await asyncio.gather(*waiting)
    assert 1 <= hasher.most <= AT_A_TIME


def test_generated_passwords_need_no_quoting() -> None:
    assert len(generated(bytes(15))) == 20
    assert generated(bytes(range(15))).replace("-", "").replace("_", "").isalnum()
