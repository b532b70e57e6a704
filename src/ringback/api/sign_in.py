"""What signing in is made of: a password that is tried, a session that begins, and what is said of it."""

from __future__ import annotations

import secrets

from fastapi import Request, Response
from msgspec.structs import replace

from ringback import ids
from ringback.api.browser import give_cookie, token_of
from ringback.api.client_address import client_address
from ringback.api.context import Context
from ringback.api.objects import Envelope
from ringback.api.people_objects import ShownKeyIdentity, ShownSession, show_user
from ringback.api.reach import Person
from ringback.envelope import iso_time
from ringback.errors import FieldError, InvalidRequest
from ringback.model import ApiKey
from ringback.people import (
    FRESH_MS,
    SCOPES,
    TOKEN_BYTES,
    Credentials,
    Session,
    SignedIn,
    User,
    csrf_token,
    new_session,
    new_token,
    session_digest,
)
from ringback.people.patience import network_of
from ringback.store.port import Change

# ---------------------------------------------------------------- passwords that are tried


async def proved(context: Context, email: str, password: str, address: str) -> Credentials | None:
    """Whose password it is; None where it is nobody's. Raises RateLimited."""
    await context.store.begin_attempt(email, address, context.store.now())
    found = await context.store.credentials(email)
    hashed = None if found is None else found.password_hash
    return found if await context.passwords.matches(password, hashed) else None


async def rehashed(context: Context, password: str, known: Credentials) -> str | None:
    """The hash at today's cost; None where it is that already."""
    dated = context.passwords.is_dated(known.password_hash)
    return await context.passwords.hash(password) if dated else None


async def confirmed(here: Person, request: Request, field: str, password: str) -> tuple[Session, Credentials]:
    """The session, fresh again, and whose password it was. Raises InvalidRequest that names the field,
    RateLimited.
    """
    context, address, email = here.context, client_address(request, here.context), here.signed_in.user.email
    known = await proved(context, email, password, address)
    if known is None:
        raise InvalidRequest(FieldError(field, "is wrong"))
    session, change = here.signed_in.session, here.change("session.confirm", f"from {address}")
    await context.store.confirm(session.session_id, email, address, change)
    return replace(session, confirmed_at=change.at), known


# ---------------------------------------------------------------- sessions


def begun(user: User, address: str, now: int) -> tuple[bytes, Session]:
    """A session, and the token that its cookie will hold."""
    token = new_token(secrets.token_bytes(TOKEN_BYTES))
    session_id = ids.random_id(now, secrets.randbits(ids.COUNTER_BITS))
    return token, new_session(session_id, user.user_id, token, network_of(address), now)


async def end_former(request: Request, context: Context) -> None:
    """Who signs in again leaves nothing behind."""
    token, now = token_of(request, context.public_url), context.store.now()
    former = None if token is None else await context.store.find_session(session_digest(token), now)
    if former is not None:
        change = Change(actor=former.actor, action="session.delete", at=now)
        await context.store.end_session(former.session.session_id, change)


# ---------------------------------------------------------------- answers


def entered(response: Response, context: Context, who: SignedIn, token: bytes) -> Envelope[ShownSession]:
    give_cookie(response, context.public_url, token)
    return Envelope(data=_show(who, token))


def answered(request: Request, context: Context, who: SignedIn) -> Envelope[ShownSession]:
    """To whoever came with the session's cookie."""
    return Envelope(data=_show(who, token_of(request, context.public_url) or b""))


def answered_key(key: ApiKey) -> Envelope[ShownSession]:
    identity = ShownKeyIdentity(
        friendly_name=key.friendly_name, restricted_business_ids=sorted(key.business_ids)
    )
    shown = ShownSession(
        user=None,
        key=identity,
        scopes=sorted(key.scopes),
        csrf_token=None,
        expires_at=None,
        fresh_until=None,
    )
    return Envelope(data=shown)


def _show(who: SignedIn, token: bytes) -> ShownSession:
    return ShownSession(
        user=show_user(who.user),
        scopes=sorted(SCOPES[who.user.role]),
        csrf_token=csrf_token(token),
        expires_at=iso_time(who.session.ends_at),
        fresh_until=iso_time(who.session.confirmed_at + FRESH_MS),
    )
