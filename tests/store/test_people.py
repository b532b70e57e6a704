"""Users, sessions and wrong passwords as the store keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from ringback import ids
from ringback.errors import Conflict, NotFound, NotSignedIn, RateLimited
from ringback.people import (
    IDLE_MS,
    LONGEST_MS,
    MAX_SESSIONS_PER_USER,
    MINUTE_MS,
    Credentials,
    Role,
    Session,
    UserEdit,
    new_session,
    new_user,
    session_digest,
)
from ringback.people.patience import FORGOTTEN_MS, MOST_TALLIES, account_of
from ringback.store.port import AuditFilter, Store
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, change
from tests.store.conftest import Look

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"


def person(number: int = 1, role: Role = Role.OWNER) -> Credentials:
    user = new_user(ids.first_id(NOON) + number, f"Person{number}@example.com", None, role, NOON)
    return Credentials(user=user, password_hash=f"hash {number}")


def session(who: Credentials, number: int = 1, now: int = NOON) -> Session:
    return new_session(ids.first_id(now) + number, who.user.user_id, b"token %d" % number, HERE, now)


async def added(store: Store, number: int = 1, role: Role = Role.OWNER) -> Credentials:
    who = person(number, role)
    await store.create_user(who, change("user.create"))
    return who


async def come_in(store: Store, who: Credentials, number: int = 1, now: int = NOON) -> Session:
    one = session(who, number, now)
    assert await store.sign_in(one, who, HERE, None, change("session.create", at=now)) is not None
    return one


# ---------------------------------------------------------------- users


async def test_a_user_is_read_as_made_and_found_by_any_case(store: Store) -> None:
    who = await added(store)

    assert await store.get_user(who.user.user_id) == who.user
    assert await store.credentials("PERSON1@EXAMPLE.COM") == who
    assert await store.credentials("person2@example.com") is None


async def test_an_email_is_taken_once(store: Store) -> None:
    who = await added(store)
    other = replace(person(2).user, email=who.user.email.upper())

    with pytest.raises(Conflict):
        await store.create_user(Credentials(user=other, password_hash="x"), change())


async def test_a_change_of_nothing_leaves_no_line(store: Store) -> None:
    who = await added(store)

    unchanged = await store.change_user(
        who.user.user_id, UserEdit(role=Role.OWNER), change("user.update"), None
    )

    assert unchanged == who.user
    log = await store.list_audit(None, AuditFilter(), 10, None)
    assert [row.action for row in log.items] == ["user.create"]


async def test_who_is_not_there_cannot_be_changed(store: Store) -> None:
    for missing in (
        store.get_user(7),
        store.change_user(7, UserEdit(enabled=False), change(), None),
        store.delete_user(7, change()),
    ):
        with pytest.raises(NotFound):
            await missing


Strip = Callable[[Store, int], object]
STRIPPED: dict[str, Strip] = {
    "deleted": lambda store, user_id: store.delete_user(user_id, change()),
    "disabled": lambda store, user_id: store.change_user(user_id, UserEdit(enabled=False), change(), None),
    "demoted": lambda store, user_id: store.change_user(user_id, UserEdit(role=Role.VIEWER), change(), None),
}


@pytest.mark.parametrize("how", STRIPPED)
async def test_of_owners_who_go_at_once_one_stays(store: Store, how: str) -> None:
    owners = [await added(store, number) for number in range(1, 6)]

    ends = await asyncio.gather(
        *(STRIPPED[how](store, who.user.user_id) for who in owners),  # type: ignore[call-overload]
        return_exceptions=True,
    )

    assert [type(end) for end in ends].count(Conflict) == 1
    users = (await store.list_users(10, None)).items
    assert sum(user.role is Role.OWNER and user.enabled for user in users) == 1


async def test_a_deleted_user_takes_all_sessions_along(store: Store, look: Look) -> None:
    await added(store)
    who = await added(store, 2)
    await come_in(store, who)

    await store.delete_user(who.user.user_id, change())

    assert look("SELECT count(*) FROM sessions") == [(0,)]


# ---------------------------------------------------------------- the first owner


async def test_a_link_is_used_by_one_of_many_and_then_gone(store: Store, look: Look) -> None:
    digest = session_digest(b"link")
    assert await store.renew_welcome(digest)

    ends = await asyncio.gather(
        *(
            store.create_first_owner(
                person(number), digest, session(person(number), number), (change("user.create"), change())
            )
            for number in range(1, 6)
        ),
        return_exceptions=True,
    )

    assert [end for end in ends if end is None] == [None]
    assert {type(end) for end in ends if end is not None} == {Conflict}
    assert len((await store.list_users(10, None)).items) == 1
    assert look("SELECT count(*) FROM welcome") == [(0,)]


async def test_another_link_makes_nobody(store: Store) -> None:
    await store.renew_welcome(session_digest(b"link"))
    who = person()

    with pytest.raises(NotSignedIn):
        await store.create_first_owner(who, session_digest(b"guess"), session(who), (change(), change()))

    assert not await store.is_welcome(session_digest(b"guess"))
    assert (await store.list_users(10, None)).items == ()


# ---------------------------------------------------------------- sessions


async def test_a_session_is_found_by_its_digest_until_it_ends(store: Store) -> None:
    who = await added(store)
    one = await come_in(store, who)

    found = await store.find_session(one.digest, NOON + IDLE_MS - 1)

    assert found is not None
    assert found.session == one
    assert found.user == replace(who.user, last_sign_in_at=NOON)
    assert await store.find_session(one.digest, NOON + IDLE_MS) is None
    assert await store.find_session(b"another", NOON) is None


async def test_use_moves_the_end_on_but_not_beyond_the_longest(store: Store) -> None:
    one = await come_in(store, await added(store))

    for now, end in ((NOON + 5, NOON + 5 + IDLE_MS), (NOON + LONGEST_MS - 5, NOON + LONGEST_MS)):
        await store.see_session(one.session_id, now)
        found = await store.find_session(one.digest, now)
        assert found is not None
        assert found.session.ends_at == end


async def test_nobody_comes_in_who_was_changed_while_the_password_was_looked_at(store: Store) -> None:
    await added(store)
    who = await added(store, 2)
    user_id = who.user.user_id
    await store.change_user(user_id, UserEdit(password_hash="newer"), change(), None)
    assert await store.sign_in(session(who), who, HERE, None, change()) is None

    newer = replace(who, password_hash="newer")
    await store.change_user(user_id, UserEdit(enabled=False), change(), None)
    assert await store.sign_in(session(who), newer, HERE, None, change()) is None

    await store.delete_user(user_id, change())
    assert await store.sign_in(session(who), newer, HERE, None, change()) is None


async def test_no_password_is_replaced_but_the_one_that_was_proved(store: Store) -> None:
    who = await added(store)
    user_id, email = who.user.user_id, who.user.email
    proved = UserEdit(password_hash="newer", instead_of=who.password_hash)

    await store.change_user(user_id, proved, change(), None)
    with pytest.raises(NotSignedIn):
        await store.change_user(user_id, replace(proved, password_hash="a thief's"), change(), None)

    known = await store.credentials(email)
    assert known is not None
    assert known.password_hash == "newer"


async def test_a_rehashed_password_is_stored_with_the_sign_in(store: Store) -> None:
    who = await added(store)

    await store.sign_in(session(who), who, HERE, "hash at a higher cost", change())

    known = await store.credentials(who.user.email)
    assert known is not None
    assert known.password_hash == "hash at a higher cost"


async def test_the_oldest_sessions_end_where_there_are_too_many(store: Store, look: Look) -> None:
    who = await added(store)
    made = [await come_in(store, who, number) for number in range(1, MAX_SESSIONS_PER_USER + 3)]

    assert look("SELECT count(*) FROM sessions") == [(MAX_SESSIONS_PER_USER,)]
    assert [await store.find_session(one.digest, NOON) for one in made[:2]] == [None, None]
    assert await store.find_session(made[2].digest, NOON) is not None


async def test_a_session_ends_once(store: Store) -> None:
    one = await come_in(store, await added(store))

    for _ in range(2):
        await store.end_session(one.session_id, change("session.delete"))

    log = await store.list_audit(None, AuditFilter(action="session.delete"), 10, None)
    assert len(log.items) == 1
    assert await store.find_session(one.digest, NOON) is None


async def test_what_has_ended_and_what_is_long_ago_is_removed_in_steps(store: Store, look: Look) -> None:
    who = await added(store)
    for number in range(1, 6):
        await come_in(store, who, number)
    await store.begin_attempt("guessed@example.com", ELSEWHERE, NOON)

    assert await store.forget_expired(NOON + MINUTE_MS, 100) == 0
    later = NOON + IDLE_MS
    assert await store.forget_expired(later, 2) == 4
    assert await store.forget_expired(later, 100) == 4
    assert await store.forget_expired(later, 100) == 0
    assert look("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM wrong_passwords)") == [(0, 0)]


# ---------------------------------------------------------------- wrong passwords


async def guess(
    store: Store, times: int, email: str = "a@b", address: str = ELSEWHERE, now: int = NOON
) -> None:
    for _ in range(times):
        await store.begin_attempt(email, address, now)


async def test_the_count_is_kept_across_a_restart(store: Store, database: Path, clock: Clock) -> None:
    await guess(store, 5)
    other = await SqliteStore.open(database, clock=clock)

    with pytest.raises(RateLimited) as refused:
        await other.begin_attempt("A@B", ELSEWHERE, NOON)

    assert refused.value.retry_after == 1
    await other.close()


async def test_a_refused_attempt_counts_for_nothing(store: Store, look: Look) -> None:
    await guess(store, 5)
    before = look("SELECT * FROM wrong_passwords ORDER BY 1, 2")

    for _ in range(3):
        with pytest.raises(RateLimited):
            await store.begin_attempt("a@b", ELSEWHERE, NOON + 10)

    assert look("SELECT * FROM wrong_passwords ORDER BY 1, 2") == before


async def test_who_has_to_wait_is_told_so_without_the_writer(store: Store, database: Path) -> None:
    """Else a flood of guesses would hold up everybody's events."""
    await guess(store, 5)

    with closing(apsw.Connection(str(database))) as writing:
        writing.execute("BEGIN IMMEDIATE")
        with pytest.raises(RateLimited):
            await store.begin_attempt("a@b", ELSEWHERE, NOON)


async def test_what_was_wrong_is_forgotten_after_a_while(store: Store) -> None:
    await guess(store, 5)

    await guess(store, 5, now=NOON + FORGOTTEN_MS)


async def test_a_right_password_takes_back_its_own_count_and_no_other_of_the_address(store: Store) -> None:
    """Else who has an account could guess at others' for ever, signing in between."""
    who = await added(store)
    for number in range(1, 20):
        await guess(store, 1, f"other{number}@example.com", HERE)
    for number in range(3):
        await guess(store, 1, who.user.email, HERE)
        await come_in(store, who, number)
    await guess(store, 1, "other20@example.com", HERE)

    with pytest.raises(RateLimited):
        await store.begin_attempt("other21@example.com", HERE, NOON)


async def test_what_is_typed_as_an_email_is_not_kept(store: Store, look: Look) -> None:
    await guess(store, 1, "my-password-by-mistake@example.com")

    assert "mistake" not in str(look("SELECT * FROM wrong_passwords"))


async def test_what_guesses_leave_behind_is_bounded(store: Store, look: Look) -> None:
    look(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO wrong_passwords SELECT randomblob(16), '', 1, 0, ? + i FROM n",
        MOST_TALLIES + 500,
        NOON,
    )
    now = NOON + MOST_TALLIES + 1_000

    await guess(store, 1, now=now)

    assert look("SELECT count(*) FROM wrong_passwords")[0][0] <= MOST_TALLIES + 1
    newest = look("SELECT count(*) FROM wrong_passwords WHERE account = ?", account_of("a@b"))
    assert newest == [(2,)]


# ---------------------------------------------------------------- the audit log


async def test_lines_of_the_log_have_ids_of_their_time_even_when_the_clock_steps_back(store: Store) -> None:
    await store.create_user(person(1), change("user.create", at=NOON))
    await store.create_user(person(2), change("user.create", at=NOON - 3_600_000))
    await store.create_user(person(3), change("user.create", at=NOON + 1))

    async def since(at: int) -> list[int]:
        return [row.at for row in (await store.list_audit(None, AuditFilter(since=at), 10, None)).items]

    assert await since(NOON) == [NOON + 1, NOON]
    assert await since(NOON - 3_600_000) == [NOON + 1, NOON - 3_600_000, NOON]
    until = await store.list_audit(None, AuditFilter(until=NOON), 10, None)
    assert [row.at for row in until.items] == [NOON - 3_600_000]
