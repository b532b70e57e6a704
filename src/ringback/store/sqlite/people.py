"""Users: their emails unique whatever the case, and one enabled owner always left."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
from msgspec.structs import replace

from ringback import ids
from ringback.errors import Conflict, NotFound, NotSignedIn
from ringback.people import (
    Credentials,
    Role,
    Session,
    User,
    UserEdit,
    changed_fields,
    edited,
    email_key,
    ends_sessions,
)
from ringback.store.port import Change, Page
from ringback.store.sqlite import audit
from ringback.store.sqlite.rows import fetch, value_of
from ringback.store.sqlite.sessions import add_session, end_sessions_of, forget_wrong_passwords
from ringback.store.sqlite.transaction import Transaction

COLUMNS = "user_id, email, name, role, enabled, created_at, last_sign_in_at"


def create_user(tx: Transaction, who: Credentials, change: Change) -> None:
    user = who.user
    if credentials(tx.db, user.email) is not None:
        raise Conflict("another user has this email address")
    tx.db.execute(
        f"INSERT INTO users ({COLUMNS}, email_key, password_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            user.user_id,
            user.email,
            user.name,
            user.role,
            user.enabled,
            user.created_at,
            user.last_sign_in_at,
            email_key(user.email),
            who.password_hash,
        ),
    )
    _note(tx, change, user, user.email)


def change_user(tx: Transaction, user_id: int, edit: UserEdit, change: Change, keep: int | None) -> User:
    user = get_user(tx.db, user_id)
    changed = edited(user, edit)
    fields = changed_fields(user, changed, edit)
    if not fields:
        return user
    _write(tx.db, changed, edit)
    _check_owners(tx.db, user, "the last enabled owner can be neither demoted nor disabled")
    if ends_sessions(user, changed, edit):
        end_sessions_of(tx.db, user_id, keep)
    if edit.password_hash is not None:
        forget_wrong_passwords(tx.db, user.email)
    _note(tx, change, user, ", ".join(fields))
    return changed


def _write(db: apsw.Connection, changed: User, edit: UserEdit) -> None:
    rows = fetch(
        db,
        "UPDATE users SET name = ?, role = ?, enabled = ?, password_hash = ifnull(?, password_hash)"
        " WHERE user_id = ? AND password_hash = ifnull(?, password_hash) RETURNING 1",
        (changed.name, changed.role, changed.enabled, edit.password_hash, changed.user_id, edit.instead_of),
    )
    if not rows:
        raise NotSignedIn("the password has been changed meanwhile; sign in again")


def delete_user(tx: Transaction, user_id: int, change: Change) -> None:
    user = get_user(tx.db, user_id)
    tx.db.execute("DELETE FROM users WHERE user_id = ?", (user_id,))
    _check_owners(tx.db, user, "the last enabled owner cannot be removed")
    end_sessions_of(tx.db, user_id, None)
    forget_wrong_passwords(tx.db, user.email)
    _note(tx, change, user, user.email)


def get_user(db: apsw.Connection, user_id: int) -> User:
    rows = fetch(db, f"SELECT {COLUMNS} FROM users WHERE user_id = ?", (user_id,))
    if not rows:
        raise NotFound("there is no such user")
    return value_of(User, rows[0])


def credentials(db: apsw.Connection, email: str) -> Credentials | None:
    rows = fetch(db, f"SELECT password_hash, {COLUMNS} FROM users WHERE email_key = ?", (email_key(email),))
    if not rows:
        return None
    password_hash, *user = rows[0]
    return Credentials(user=value_of(User, user), password_hash=password_hash)


def list_users(db: apsw.Connection, limit: int, before: int | None) -> Page[User]:
    rows = fetch(
        db,
        f"SELECT {COLUMNS} FROM users WHERE (?1 IS NULL OR user_id < ?1) ORDER BY user_id DESC LIMIT ?2",
        (before, limit + 1),
    )
    items = tuple(value_of(User, row) for row in rows[:limit])
    return Page(items=items, next_before=items[-1].user_id if len(rows) > limit else None)


# ---------------------------------------------------------------- the first owner


def renew_welcome(tx: Transaction, digest: bytes) -> bool:
    if _has_users(tx.db):
        return False
    tx.db.execute("INSERT OR REPLACE INTO welcome (one, digest) VALUES (1, ?)", (digest,))
    return True


def is_welcome(db: apsw.Connection, digest: bytes) -> bool:
    """Raises Conflict where there are users already."""
    if _has_users(db):
        raise Conflict("the first owner has been made already; sign in")
    return bool(fetch(db, "SELECT 1 FROM welcome WHERE digest = ?", (digest,)))


def create_first_owner(
    tx: Transaction, who: Credentials, welcome: bytes, session: Session, changes: Sequence[Change]
) -> None:
    if not is_welcome(tx.db, welcome):
        raise NotSignedIn("this is not the newest link; each start prints another")
    tx.db.execute("DELETE FROM welcome")
    user_made, signed_in = changes
    create_user(tx, who, user_made)
    add_session(tx, session)
    _note(tx, signed_in, who.user, signed_in.detail)


def _has_users(db: apsw.Connection) -> bool:
    return bool(fetch(db, "SELECT 1 FROM users LIMIT 1"))


def _check_owners(db: apsw.Connection, before: User, words: str) -> None:
    """After a change to an owner, there is still one who can come in. Raises Conflict."""
    if before.role is not Role.OWNER or not before.enabled:
        return
    if not fetch(db, "SELECT 1 FROM users WHERE role = 'owner' AND enabled = 1 LIMIT 1"):
        raise Conflict(words)


def _note(tx: Transaction, change: Change, user: User, detail: str | None) -> None:
    audit.note(tx.db, replace(change, detail=detail), ids.public(ids.USER, user.user_id), None)
