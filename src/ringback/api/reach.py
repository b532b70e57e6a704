"""What a call may reach, as FastAPI's dependencies: `here: Reading`, `here: Managing`, `here: Operating`.

Whether it is a key or a signed-in person that calls makes no difference here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from ringback.api.auth import authorise, require
from ringback.api.context import Context
from ringback.errors import PermissionDenied
from ringback.match import BusinessView
from ringback.model import Scope
from ringback.people import Principal, SignedIn
from ringback.store.port import Change, Store

MAX_BUSINESS_ID = (1 << 63) - 1
BusinessId = Annotated[int, Path(alias="BusinessId", ge=1, le=MAX_BUSINESS_ID, examples=[123])]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the means to serve the call."""

    context: Context
    principal: Principal

    @property
    def store(self) -> Store:
        return self.context.store

    def change(self, action: str, detail: str | None = None) -> Change:
        return Change(actor=self.principal.actor, action=action, at=self.store.now(), detail=detail)


@dataclass(frozen=True, slots=True)
class Tenant(Caller):
    """A caller within one business."""

    view: BusinessView

    @property
    def business_id(self) -> int:
        return self.view.business.business_id


@dataclass(frozen=True, slots=True)
class Person(Caller):
    """A caller who has signed in."""

    signed_in: SignedIn


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def require_fresh(here: Caller) -> None:
    """For what a session left open must not give away. Keys are exempt. Raises PermissionDenied."""
    principal = here.principal
    if isinstance(principal, SignedIn) and not principal.session.is_fresh(here.store.now()):
        raise PermissionDenied(
            "this needs a sign-in of the last 10 minutes; confirm your password with `POST /session/confirm`"
        )


def _principal_of(request: Request) -> Principal:
    return cast(Principal, request.state.principal)


def _anyone(request: Request) -> Caller:
    return Caller(context_of(request), _principal_of(request))


def _person(request: Request) -> Person:
    principal = _principal_of(request)
    if not isinstance(principal, SignedIn):
        raise PermissionDenied("this call is for a person who has signed in; a key has no session")
    return Person(context_of(request), principal, principal)


def _caller(scope: Scope) -> Callable[[Request], Caller]:
    def dependency(request: Request) -> Caller:
        principal = _principal_of(request)
        require(principal, scope)
        return Caller(context_of(request), principal)

    return dependency


def _surveyor(request: Request) -> Caller:
    """A person reaches every business, so may see which there are; a key has to be an operator's."""
    principal = _principal_of(request)
    return _anyone(request) if principal.surveys else _operator(request)


def _operator(request: Request) -> Caller:
    principal = _principal_of(request)
    require(principal, Scope.OPERATOR)
    if not principal.surveys:
        raise PermissionDenied("this key is restricted to some businesses, and this call concerns all")
    return _anyone(request)


def _tenant(scope: Scope) -> Callable[[Request, int], Tenant]:
    def dependency(request: Request, business_id: BusinessId) -> Tenant:
        context, principal = context_of(request), _principal_of(request)
        view = authorise(principal, scope, business_id, context.live.current)
        return Tenant(context, principal, view)

    return dependency


Anyone = Annotated[Caller, Depends(_anyone)]
SignedInHere = Annotated[Person, Depends(_person)]
Surveying = Annotated[Caller, Depends(_surveyor)]
Browsing = Annotated[Caller, Depends(_caller(Scope.READ))]
Operating = Annotated[Caller, Depends(_operator)]
Reading = Annotated[Tenant, Depends(_tenant(Scope.READ))]
Managing = Annotated[Tenant, Depends(_tenant(Scope.MANAGE))]
