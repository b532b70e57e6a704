"""People and their roles: an owner's calls."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Path, Query
from msgspec import UNSET
from pydantic import Field

from ringback import ids
from ringback.api.answers import Code
from ringback.api.forms import Form, Name
from ringback.api.no_store import NO_STORE
from ringback.api.objects import Envelope
from ringback.api.paging import Listed, PageQuery
from ringback.api.people_objects import CreatedUser, Email, FormRole, Password, ShownUser, show_user
from ringback.api.reach import Caller, Operating, require_fresh
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute
from ringback.errors import FieldError, NotFound
from ringback.people import Credentials, SignedIn, UserEdit, new_user
from ringback.people.passwords import GENERATED_BYTES, generated

router = APIRouter(prefix="/api/v1/users", tags=["People"], route_class=ControlRoute)

_WALK = "users"
_FAULT = FieldError("Email", "must be an email address")
UserId = Annotated[str, Path(alias="UserId", examples=["usr_01kb3v9q2m4xa"])]


class CreateUser(Form):
    email: Email
    name: Name | None = Field(None, examples=["Ada"])
    role: FormRole
    password: Password | None = Field(None, description="Left out, one is made, in this one answer only")


class ChangeUser(Form):
    """Only what is sent changes."""

    name: Name | None = None
    role: FormRole | None = None
    enabled: bool | None = Field(None, description="False keeps the person out, at once")
    password: Password | None = Field(None, description="Ends the person's sessions")


@router.post(
    "",
    status_code=201,
    responses=refusals(Code.CONFLICT, *WITH_BODY, fault=_FAULT),
    dependencies=[NO_STORE],
)
async def create_user(here: Operating, form: CreateUser) -> Envelope[CreatedUser]:
    """Add a person."""
    made = None if form.password is not None else generated(secrets.token_bytes(GENERATED_BYTES))
    hashed = await here.context.passwords.hash(form.password or made or "")
    now = here.store.now()
    user_id = ids.random_id(now, secrets.randbits(ids.COUNTER_BITS))
    user = new_user(user_id, form.email, form.name, form.role, now)
    await here.store.create_user(Credentials(user=user, password_hash=hashed), here.change("user.create"))
    return Envelope(data=CreatedUser(**show_user(user).model_dump(by_alias=False), password=made))


@router.get("", responses=refusals())
async def list_users(here: Operating, query: Annotated[PageQuery, Query()]) -> Listed[ShownUser]:
    """List people."""
    found = await here.store.list_users(query.limit, query.before(_WALK))
    return query.listed(found, show_user, _WALK)


@router.get("/{UserId}", responses=refusals(Code.NOT_FOUND))
async def get_user(here: Operating, user_id: UserId) -> Envelope[ShownUser]:
    """Read one person."""
    return Envelope(data=show_user(await here.store.get_user(_row_id_of(user_id))))


@router.patch("/{UserId}", responses=refusals(Code.NOT_FOUND, Code.CONFLICT, *WITH_BODY, fault=_FAULT))
async def change_user(here: Operating, user_id: UserId, form: ChangeUser) -> Envelope[ShownUser]:
    """Change a person. A new role or password ends their sessions; the last enabled owner stays one."""
    form.changes({"name": None})
    row_id = _row_id_of(user_id)
    await here.store.get_user(row_id)
    hashed = None
    if form.password is not None:
        require_fresh(here)
        hashed = await here.context.passwords.hash(form.password)
    edit = UserEdit(
        name=form.name if form.sent("name") else UNSET,
        role=form.role,
        enabled=form.enabled,
        password_hash=hashed,
    )
    user = await here.store.change_user(row_id, edit, here.change("user.update"), _own_session(here, form))
    return Envelope(data=show_user(user))


@router.delete("/{UserId}", responses=refusals(Code.NOT_FOUND, Code.CONFLICT))
async def delete_user(here: Operating, user_id: UserId) -> Envelope[None]:
    """Remove a person, and end their sessions. The last enabled owner cannot be removed."""
    await here.store.delete_user(_row_id_of(user_id), here.change("user.delete"))
    return Envelope(data=None)


def _own_session(here: Caller, form: ChangeUser) -> int | None:
    """The one that goes on when people change their own password, and nothing else that ends it."""
    if isinstance(here.principal, SignedIn) and form.role is None:
        return here.principal.session.session_id
    return None


def _row_id_of(public_id: str) -> int:
    row_id = ids.internal(ids.USER, public_id)
    if row_id is None:
        raise NotFound("there is no such user")
    return row_id
