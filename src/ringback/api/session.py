"""Signing in and out, and what people do about themselves."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request, Response
from msgspec import UNSET
from msgspec.structs import replace
from pydantic import Field

from ringback import ids
from ringback.api.answers import Code
from ringback.api.browser import take_cookie
from ringback.api.client_address import client_address
from ringback.api.forms import Form, Name
from ringback.api.no_store import NO_STORE
from ringback.api.objects import Envelope
from ringback.api.people_objects import Email, Password, ShownSession, TriedPassword
from ringback.api.reach import Anyone, SignedInHere, context_of
from ringback.api.refusals import WITH_BODY, refusals
from ringback.api.route import ControlRoute, OpenRoute
from ringback.api.sign_in import (
    answered,
    answered_key,
    begun,
    confirmed,
    end_former,
    entered,
    proved,
    rehashed,
)
from ringback.errors import FieldError, InvalidRequest, NotSignedIn, UserDisabled
from ringback.model import ApiKey
from ringback.people import Credentials, Role, SignedIn, UserEdit, new_user, session_digest
from ringback.store.port import Change

_ABOUT: dict[str, Any] = {"prefix": "/api/v1/session", "tags": ["Sign-in"], "dependencies": [NO_STORE]}
router = APIRouter(route_class=ControlRoute, **_ABOUT)
open_router = APIRouter(route_class=OpenRoute, **_ABOUT)

_WRONG = "the email address or the password is wrong"
_FAULT = FieldError("Email", "must be an email address")


class SignIn(Form):
    email: Email
    password: TriedPassword


class FirstOwner(Form):
    token: str = Field(min_length=1, max_length=100, description="Of the link that the start has printed")
    email: Email
    name: Name | None = None
    password: Password


class Confirmation(Form):
    password: TriedPassword


class ChangeMyself(Form):
    """Only what is sent changes. A new password takes the current one too, and ends all other sessions."""

    name: Name | None = None
    password: Password | None = None
    current_password: TriedPassword | None = None


# ---------------------------------------------------------------- coming in


@open_router.post("", responses=refusals(Code.RATE_LIMITED, *WITH_BODY, fault=_FAULT))
async def sign_in(request: Request, response: Response, form: SignIn) -> Envelope[ShownSession]:
    """Sign in: sets the session's cookie. A session that the browser had ends."""
    context = context_of(request)
    address = client_address(request, context)
    known = await proved(context, form.email, form.password, address)
    if known is None:
        raise NotSignedIn(_WRONG)
    if not known.user.enabled:
        raise UserDisabled("this account is disabled; ask an owner to enable it")
    newer_hash = await rehashed(context, form.password, known)
    now = context.store.now()
    token, session = begun(known.user, address, now)
    change = Change(actor=f"user:{known.user.email}", action="session.create", at=now)
    user = await context.store.sign_in(session, known, address, newer_hash, change)
    if user is None:
        raise NotSignedIn(_WRONG)
    await end_former(request, context)
    return entered(response, context, SignedIn(user=user, session=session), token)


@open_router.post(
    "/first",
    status_code=201,
    responses=refusals(Code.CONFLICT, *WITH_BODY, fault=_FAULT),
)
async def make_first_owner(request: Request, response: Response, form: FirstOwner) -> Envelope[ShownSession]:
    """Make the first owner with the one-time link that a start without users prints, and sign in."""
    context = context_of(request)
    store, welcome = context.store, session_digest(form.token.encode())
    if not await store.is_welcome(welcome):
        raise NotSignedIn("this is not the newest link; each start prints another until there is an owner")
    hashed = await context.passwords.hash(form.password)
    now, address = store.now(), client_address(request, context)
    user_id = ids.random_id(now, secrets.randbits(ids.COUNTER_BITS))
    user = replace(new_user(user_id, form.email, form.name, Role.OWNER, now), last_sign_in_at=now)
    token, session = begun(user, address, now)
    who = SignedIn(user=user, session=session)
    made = Change(actor=who.actor, action="user.create", at=now)
    came = Change(actor=who.actor, action="session.create", at=now, detail=f"from {address}")
    known = Credentials(user=user, password_hash=hashed)
    await store.create_first_owner(known, welcome, session, (made, came))
    return entered(response, context, who, token)


# ---------------------------------------------------------------- while there


@router.get("", responses=refusals())
async def get_session(here: Anyone, request: Request) -> Envelope[ShownSession]:
    """Who calls: the signed-in person, or the key."""
    if isinstance(here.principal, ApiKey):
        return answered_key(here.principal)
    return answered(request, here.context, here.principal)


@router.patch("", responses=refusals(Code.RATE_LIMITED, *WITH_BODY, fault=_FAULT))
async def change_myself(here: SignedInHere, request: Request, form: ChangeMyself) -> Envelope[ShownSession]:
    """Change one's own name or password."""
    form.changes({"name": None})
    edit = UserEdit(name=form.name if form.sent("name") else UNSET)
    session = here.signed_in.session
    if form.password is not None or form.current_password is not None:
        password, current = _both(form)
        session, known = await confirmed(here, request, "CurrentPassword", current)
        hashed = await here.context.passwords.hash(password)
        edit = replace(edit, password_hash=hashed, instead_of=known.password_hash)
    change = here.change("user.update")
    user = await here.store.change_user(session.user_id, edit, change, session.session_id)
    return answered(request, here.context, SignedIn(user=user, session=session))


@router.post("/confirm", responses=refusals(Code.RATE_LIMITED, *WITH_BODY, fault=_FAULT))
async def confirm(here: SignedInHere, request: Request, form: Confirmation) -> Envelope[ShownSession]:
    """Give the password again, for what needs a fresh sign-in."""
    session, _ = await confirmed(here, request, "Password", form.password)
    return answered(request, here.context, SignedIn(user=here.signed_in.user, session=session))


@router.delete("", responses=refusals())
async def sign_out(here: SignedInHere, response: Response) -> Envelope[None]:
    """Sign out: the session ends, its cookie goes."""
    await here.store.end_session(here.signed_in.session.session_id, here.change("session.delete"))
    take_cookie(response, here.context.public_url)
    return Envelope(data=None)


def _both(form: ChangeMyself) -> tuple[str, str]:
    """The new password and the current one. Raises InvalidRequest where one comes without the other."""
    if form.password is None:
        raise InvalidRequest(FieldError("Password", "is required beside CurrentPassword"))
    if form.current_password is None:
        raise InvalidRequest(FieldError("CurrentPassword", "is required to change the password"))
    return form.password, form.current_password
