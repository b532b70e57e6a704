"""Sessions, and the wrong passwords that are counted before there is one."""

from __future__ import annotations

import apsw
from msgspec.structs import replace

from ringback import ids
from ringback.errors import RateLimited
from ringback.people import IDLE_MS, MAX_SESSIONS_PER_USER, Credentials, Session, SignedIn, User, email_key
from ringback.people.patience import (
    FORGOTTEN_MS,
    MOST_TALLIES,
    Tally,
    account_of,
    network_of,
    tallies,
    wait_ms,
)
from ringback.store.port import Change
from ringback.store.sqlite import audit
from ringback.store.sqlite.rows import fetch, value_of
from ringback.store.sqlite.transaction import Transaction

_COLUMNS = ", ".join(Session.__struct_fields__)
_FIND = f"""
SELECT {", ".join(f"s.{name}" for name in Session.__struct_fields__)},
    {", ".join(f"u.{name}" for name in User.__struct_fields__)}
FROM sessions s JOIN users u USING (user_id) WHERE s.digest = ? AND s.ends_at > ?
"""
_KNOWN = """
SELECT 1 FROM users u JOIN sessions s USING (user_id)
WHERE u.email_key = ? AND s.network = ? AND s.ends_at > ? LIMIT 1
"""
_COUNT = """
INSERT INTO wrong_passwords (account, address, wrong, wait_until, last_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET wrong = ?3, wait_until = ?4, last_at = ?5
"""
_BOUND = """
DELETE FROM wrong_passwords WHERE last_at < (
    SELECT last_at FROM wrong_passwords ORDER BY last_at DESC LIMIT 1 OFFSET ?)
"""


# ---------------------------------------------------------------- wrong passwords


def begin_attempt(tx: Transaction, email: str, address: str, now: int) -> None:
    for tally, wrong in check_patience(tx.db, email, address, now):
        _write(tx.db, tally, wrong + 1, now)
    fetch(tx.db, _BOUND, (MOST_TALLIES,))


def check_patience(db: apsw.Connection, email: str, address: str, now: int) -> list[tuple[Tally, int]]:
    """What another attempt counts for, and how many were wrong already. Raises RateLimited."""
    counted = [(tally, *_wrong(db, tally, now)) for tally in _tallies(db, email, address, now)]
    wait = max(wait_until for _, _, wait_until in counted) - now
    if wait > 0:
        seconds = -(-wait // 1_000)
        raise RateLimited(f"too many wrong passwords; wait {seconds} s", seconds)
    return [(tally, wrong) for tally, wrong, _ in counted]


def forget_wrong_passwords(db: apsw.Connection, email: str) -> None:
    """Of this account, from wherever."""
    db.execute("DELETE FROM wrong_passwords WHERE account = ?", (account_of(email_key(email)),))


def _proved(tx: Transaction, email: str, address: str, now: int) -> int:
    """The attempt was right; how many before it were wrong. Its address takes back this one attempt only."""
    own, everyone, *_ = tallies(email_key(email), address, known=True)
    before, _ = _wrong(tx.db, own, now)
    forget_wrong_passwords(tx.db, email)
    wrong, _ = _wrong(tx.db, everyone, now)
    fetch(
        tx.db,
        "UPDATE wrong_passwords SET wrong = ?, wait_until = ? WHERE account = ? AND address = ?",
        (max(wrong - 1, 0), now, everyone.account, everyone.address),
    )
    return max(before - 1, 0)


def _tallies(db: apsw.Connection, email: str, address: str, now: int) -> tuple[Tally, ...]:
    key = email_key(email)
    known = fetch(db, _KNOWN, (key, network_of(address), now))
    return tallies(key, address, known=bool(known))


def _wrong(db: apsw.Connection, tally: Tally, now: int) -> tuple[int, int]:
    """How many, and until when no other is tried."""
    rows = fetch(
        db,
        "SELECT wrong, wait_until FROM wrong_passwords WHERE account = ? AND address = ? AND last_at > ?",
        (tally.account, tally.address, now - FORGOTTEN_MS),
    )
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def _write(db: apsw.Connection, tally: Tally, wrong: int, now: int) -> None:
    fetch(db, _COUNT, (tally.account, tally.address, wrong, now + wait_ms(tally, wrong), now))


# ---------------------------------------------------------------- sessions


def sign_in(
    tx: Transaction, session: Session, tried: Credentials, address: str, rehashed: str | None, change: Change
) -> User | None:
    rows = fetch(
        tx.db,
        "UPDATE users SET last_sign_in_at = ?, password_hash = ifnull(?, password_hash)"
        " WHERE user_id = ? AND password_hash = ? AND enabled = 1 RETURNING user_id",
        (change.at, rehashed, tried.user.user_id, tried.password_hash),
    )
    if not rows:
        return None
    wrong = _proved(tx, tried.user.email, address, change.at)
    add_session(tx, session)
    before = f", after {wrong} wrong passwords" if wrong else ""
    _note(tx, replace(change, detail=f"from {address}{before}"), tried.user.user_id)
    return replace(tried.user, last_sign_in_at=change.at)


def add_session(tx: Transaction, session: Session) -> None:
    fetch(
        tx.db,
        f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tuple(getattr(session, name) for name in Session.__struct_fields__),
    )
    fetch(
        tx.db,
        "DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE user_id = ?"
        " ORDER BY session_id DESC LIMIT -1 OFFSET ?)",
        (session.user_id, MAX_SESSIONS_PER_USER),
    )


def confirm(tx: Transaction, session_id: int, email: str, address: str, change: Change) -> None:
    rows = fetch(
        tx.db,
        "UPDATE sessions SET confirmed_at = ? WHERE session_id = ? RETURNING user_id",
        (change.at, session_id),
    )
    _proved(tx, email, address, change.at)
    for (user_id,) in rows:
        _note(tx, change, user_id)


def find_session(db: apsw.Connection, digest: bytes, now: int) -> SignedIn | None:
    rows = fetch(db, _FIND, (digest, now))
    if not rows:
        return None
    width = len(Session.__struct_fields__)
    return SignedIn(session=value_of(Session, rows[0][:width]), user=value_of(User, rows[0][width:]))


def see_session(tx: Transaction, session_id: int, now: int) -> None:
    fetch(
        tx.db,
        "UPDATE sessions SET seen_at = ?1, ends_at = min(expires_at, ?2) WHERE session_id = ?3",
        (now, now + IDLE_MS, session_id),
    )


def end_session(tx: Transaction, session_id: int, change: Change) -> None:
    rows = fetch(tx.db, "DELETE FROM sessions WHERE session_id = ? RETURNING user_id", (session_id,))
    for (user_id,) in rows:
        _note(tx, change, user_id)


def end_sessions_of(db: apsw.Connection, user_id: int, keep: int | None) -> None:
    db.execute("DELETE FROM sessions WHERE user_id = ? AND session_id IS NOT ?", (user_id, keep))


def forget_expired(tx: Transaction, now: int, limit: int) -> int:
    ended = fetch(
        tx.db,
        "DELETE FROM sessions WHERE session_id IN"
        " (SELECT session_id FROM sessions WHERE ends_at <= ? LIMIT ?) RETURNING 1",
        (now, limit),
    )
    forgotten = fetch(
        tx.db,
        "DELETE FROM wrong_passwords WHERE (account, address) IN"
        " (SELECT account, address FROM wrong_passwords WHERE last_at <= ? LIMIT ?) RETURNING 1",
        (now - FORGOTTEN_MS, limit),
    )
    return len(ended) + len(forgotten)


def anything_expired(db: apsw.Connection, now: int) -> bool:
    """For a reader, so that a step with nothing to do writes nothing."""
    return bool(
        fetch(
            db,
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM sessions WHERE ends_at <= ?)"
            " OR EXISTS (SELECT 1 FROM wrong_passwords WHERE last_at <= ?)",
            (now, now - FORGOTTEN_MS),
        )
    )


def _note(tx: Transaction, change: Change, user_id: int) -> None:
    audit.note(tx.db, change, ids.public(ids.USER, user_id), None)
