"""What browsers add to a call: a session's cookie, whose page it is that calls, and proof that it is ours.

A browser sends the cookie whoever's page asks for the call. So whatever changes something needs the
session's `X-CSRF-Token` too, and no page of another site may call at all. Nothing here allows CORS.
"""

from __future__ import annotations

import hmac

from fastapi import Request, Response

from ringback.api.context import Context
from ringback.errors import NotSignedIn, PermissionDenied, StoreUnavailable, UserDisabled
from ringback.people import LONGEST_MS, SignedIn, csrf_token, session_digest

COOKIE = "ringback_session"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_PAGES = frozenset({"same-origin", "none"})


# ---------------------------------------------------------------- the cookie


def cookie_name(public_url: str | None) -> str:
    """With https the prefix has browsers refuse one that another host or plain http has set."""
    return f"__Host-{COOKIE}" if is_https(public_url) else COOKIE


def is_https(public_url: str | None) -> bool:
    return public_url is not None and public_url.startswith("https:")


def give_cookie(response: Response, public_url: str | None, token: bytes) -> None:
    response.set_cookie(
        cookie_name(public_url),
        token.decode(),
        max_age=LONGEST_MS // 1_000,
        path="/",
        secure=is_https(public_url),
        httponly=True,
        samesite="strict",
    )


def take_cookie(response: Response, public_url: str | None) -> None:
    response.delete_cookie(
        cookie_name(public_url), path="/", secure=is_https(public_url), httponly=True, samesite="strict"
    )


def token_of(request: Request, public_url: str | None) -> bytes | None:
    """What the session's cookie holds."""
    value = request.cookies.get(cookie_name(public_url))
    return value.encode() if value else None


# ---------------------------------------------------------------- who it is


async def person_of(request: Request, context: Context) -> SignedIn | None:
    """Who calls with a cookie; None where there is none, or a key beside it, which is then what counts.

    Raises NotSignedIn, UserDisabled, PermissionDenied.
    """
    token = None if "authorization" in request.headers else token_of(request, context.public_url)
    return None if token is None else await _signed_in(request, context, token)


async def _signed_in(request: Request, context: Context, token: bytes) -> SignedIn:
    refuse_other_sites(request, context.public_url)
    now = context.store.now()
    found = await context.store.find_session(session_digest(token), now)
    if found is None:
        raise NotSignedIn("this session has ended; sign in again")
    if not found.user.enabled:
        raise UserDisabled("this account is disabled; ask an owner to enable it")
    if request.method not in _SAFE:
        _check_csrf(request, token)
    if found.session.is_to_be_seen(now):
        await _see(context, found, now)
    return found


async def _see(context: Context, found: SignedIn, now: int) -> None:
    try:
        await context.store.see_session(found.session.session_id, now)
    except StoreUnavailable:
        # Reading goes on while the disk is full; the session ends no earlier for it than it would have.
        return


def _check_csrf(request: Request, token: bytes) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(given.encode(), csrf_token(token).encode()):
        raise PermissionDenied(
            f"with a session this call needs the header {CSRF_HEADER}; `GET /session` tells its value"
        )


def refuse_other_sites(request: Request, public_url: str | None) -> None:
    """A change that another site's page asks for. Who is no browser says nothing of pages, and passes.

    Raises PermissionDenied.
    """
    if request.method in _SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site is not None and site.lower() not in _OWN_PAGES
    if foreign or (origin is not None and not _is_own(origin, request, public_url)):
        raise PermissionDenied("a page of another site must not make this call")


def _is_own(origin: str, request: Request, public_url: str | None) -> bool:
    if public_url is not None:
        return origin.lower() == public_url
    host = request.headers.get("host")
    return bool(host) and origin.lower().partition("://")[2] == str(host).lower()
