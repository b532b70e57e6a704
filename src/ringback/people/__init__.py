"""People, what they may do, and how long a session of theirs lasts: pure, time is an argument.

A `Principal` is whoever calls: an API key, or a person who has signed in. Both are checked alike.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum
from hashlib import sha256
from unicodedata import category, normalize

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ringback.model import ApiKey, Scope, Value

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
IDLE_MS = 12 * HOUR_MS
LONGEST_MS = 14 * 24 * HOUR_MS
FRESH_MS = 10 * MINUTE_MS
SEEN_EVERY_MS = MINUTE_MS
TOKEN_BYTES = 32
MAX_SESSIONS_PER_USER = 20
MAX_EMAIL_CHARACTERS = 254


class Role(StrEnum):
    OWNER = "owner"
    OPERATOR = "operator"
    VIEWER = "viewer"


SCOPES: dict[Role, frozenset[Scope]] = {
    Role.OWNER: frozenset(Scope),
    Role.OPERATOR: frozenset({Scope.PUBLISH, Scope.READ, Scope.MANAGE}),
    Role.VIEWER: frozenset({Scope.READ}),
}


# ---------------------------------------------------------------- users


class User(Value, frozen=True, kw_only=True):
    user_id: int
    email: str
    name: str | None
    role: Role
    enabled: bool
    created_at: int
    last_sign_in_at: int | None = None


class Credentials(Value, frozen=True, kw_only=True):
    """A user with the argon2 hash of the password; it shows nothing of it."""

    user: User
    password_hash: str

    def __repr__(self) -> str:
        return f"Credentials({self.user.email})"


class UserEdit(Value, frozen=True, kw_only=True):
    """What changes; None, or UNSET for the name, leaves it.

    `instead_of`: the hash of the password that was proved for a new one; it has to be that still.
    """

    name: str | UnsetType | None = UNSET
    role: Role | None = None
    enabled: bool | None = None
    password_hash: str | None = None
    instead_of: str | None = None

    def __repr__(self) -> str:
        return "UserEdit(…)"


def new_user(user_id: int, email: str, name: str | None, role: Role, now: int) -> User:
    return User(user_id=user_id, email=email, name=name, role=role, enabled=True, created_at=now)


def edited(user: User, edit: UserEdit) -> User:
    return replace(
        user,
        name=user.name if edit.name is UNSET else edit.name,
        role=edit.role or user.role,
        enabled=user.enabled if edit.enabled is None else edit.enabled,
    )


def changed_fields(before: User, after: User, edit: UserEdit) -> tuple[str, ...]:
    """Their names, as callers write them."""
    changed = {
        "Name": before.name != after.name,
        "Role": before.role != after.role,
        "Enabled": before.enabled != after.enabled,
        "Password": edit.password_hash is not None,
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def ends_sessions(before: User, after: User, edit: UserEdit) -> bool:
    """Those of a disabled account stay, refused, until it is enabled: who comes with one is told why."""
    return edit.password_hash is not None or before.role != after.role or after.enabled > before.enabled


def is_email(text: str) -> bool:
    """Whether it may be one: something on both sides of an @, no blanks, at most 254 characters."""
    name, _, host = text.rpartition("@")
    blank = any(category(letter)[0] in "CZ" for letter in text)
    return bool(name and host) and not blank and len(text) <= MAX_EMAIL_CHARACTERS


def email_key(email: str) -> str:
    """Addresses that differ in case alone are one, and so are those that look the same: keyboards write the
    same letter in different ways.
    """
    return normalize("NFC", normalize("NFC", email).casefold())


# ---------------------------------------------------------------- sessions


class Session(Value, frozen=True, kw_only=True):
    """A sign-in, from a network (`patience.network_of`). `ends_at` moves on with use, up to `expires_at`."""

    session_id: int
    user_id: int
    digest: bytes
    network: str
    created_at: int
    seen_at: int
    confirmed_at: int
    ends_at: int
    expires_at: int

    def is_fresh(self, now: int) -> bool:
        """Whether the password was given a short while ago."""
        return now - self.confirmed_at <= FRESH_MS

    def is_to_be_seen(self, now: int) -> bool:
        return now - self.seen_at >= SEEN_EVERY_MS


def new_session(session_id: int, user_id: int, token: bytes, network: str, now: int) -> Session:
    return Session(
        session_id=session_id,
        user_id=user_id,
        digest=session_digest(token),
        network=network,
        created_at=now,
        seen_at=now,
        confirmed_at=now,
        ends_at=now + IDLE_MS,
        expires_at=now + LONGEST_MS,
    )


def new_token(randomness: bytes) -> bytes:
    """What a cookie or a one-time link carries."""
    return urlsafe_b64encode(randomness).rstrip(b"=")


def session_digest(token: bytes) -> bytes:
    """What is stored of a token. It is random and long, so a plain hash is enough."""
    return sha256(token).digest()


def csrf_token(token: bytes) -> str:
    """Belongs to one session and tells nothing about its cookie."""
    proof = hmac.digest(token, b"ringback csrf", "sha256")
    return urlsafe_b64encode(proof).rstrip(b"=").decode()


class SignedIn(Value, frozen=True, kw_only=True):
    """A person, by a session of theirs."""

    user: User
    session: Session

    @property
    def actor(self) -> str:
        """As the audit log names who it was."""
        return f"user:{self.user.email}"

    @property
    def described(self) -> str:
        """In a sentence to the caller."""
        return "a viewer" if self.user.role is Role.VIEWER else f"an {self.user.role}"

    @property
    def surveys(self) -> bool:
        """Whether the list of all businesses may be read."""
        return True

    def allows(self, scope: Scope) -> bool:
        return scope in SCOPES[self.user.role]

    def reaches(self, business_id: int) -> bool:  # noqa: ARG002 - people reach every business
        return True


Principal = ApiKey | SignedIn
