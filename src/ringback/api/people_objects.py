"""People, sessions and the audit log as readers of the API see them, and what callers may write of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ringback import ids
from ringback.api.objects import Shown, Time
from ringback.envelope import iso_time, iso_time_or_none
from ringback.model import Scope
from ringback.people import MAX_EMAIL_CHARACTERS, Role, User, is_email
from ringback.people.passwords import MAX_CHARACTERS, MIN_CHARACTERS


def _email(text: str) -> str:
    if not is_email(text):
        raise ValueError("must be an email address")
    return text


Email = Annotated[
    str,
    Field(min_length=3, max_length=MAX_EMAIL_CHARACTERS, examples=["ada@example.com"]),
    AfterValidator(_email),
]
Password = Annotated[
    str,
    Field(min_length=MIN_CHARACTERS, max_length=MAX_CHARACTERS, json_schema_extra={"format": "password"}),
]
# One that is tried: whatever it is, it is compared, within what can have been set.
TriedPassword = Annotated[
    str, Field(min_length=1, max_length=MAX_CHARACTERS, json_schema_extra={"format": "password"})
]
FormRole = Annotated[Role, Field(strict=False)]


class ShownUser(Shown):
    id: str = Field(examples=["usr_01kb3v9q2m4xa"])
    email: str = Field(examples=["ada@example.com"])
    name: str | None = Field(examples=["Ada"])
    role: Role
    enabled: bool
    created_at: Time
    last_sign_in_at: Time | None


class CreatedUser(ShownUser):
    password: str | None = Field(description="One that was made here, in this one answer only; else null")


class ShownKeyIdentity(Shown):
    friendly_name: str = Field(examples=["Production publisher"])
    restricted_business_ids: list[int] = Field(description="Empty means all businesses")


class ShownSession(Shown):
    """Who calls: a person (`User`) or a key (`Key`)."""

    user: ShownUser | None
    key: ShownKeyIdentity | None = None
    scopes: list[Scope]
    csrf_token: str | None = Field(description="Send it as `X-CSRF-Token` with whatever is not a GET")
    expires_at: Time | None = Field(description="When the session ends if it is not used before")
    fresh_until: Time | None = Field(description="Until then secrets can be revealed without confirming")


class AuditEntry(Shown):
    at: Time
    actor: str = Field(
        examples=["user:ada@example.com"], description="`key:…`, `user:…`, `cli:…` or `system`"
    )
    action: str = Field(examples=["integration.pause"])
    object: str = Field(examples=["intg_01kb3v9q2m4xa"])
    detail: str | None = Field(description="Which fields changed, where from; never a secret")
    business_id: int | None = Field(examples=[123])


def show_user(user: User) -> ShownUser:
    return ShownUser(
        id=ids.public(ids.USER, user.user_id),
        email=user.email,
        name=user.name,
        role=user.role,
        enabled=user.enabled,
        created_at=iso_time(user.created_at),
        last_sign_in_at=iso_time_or_none(user.last_sign_in_at),
    )
