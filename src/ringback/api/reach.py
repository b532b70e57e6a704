"""What a call may reach, as FastAPI's dependencies: `here: Reading`, `here: Managing`, `here: Operating`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Path, Request

from ringback.api.auth import authorise, require
from ringback.api.context import Context
from ringback.errors import PermissionDenied
from ringback.match import BusinessView
from ringback.model import ApiKey, Scope
from ringback.store.port import Change, Store

MAX_BUSINESS_ID = (1 << 63) - 1
BusinessId = Annotated[int, Path(alias="BusinessId", ge=1, le=MAX_BUSINESS_ID, examples=[123])]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and the means to serve the call."""

    context: Context
    key: ApiKey

    @property
    def store(self) -> Store:
        return self.context.store

    def change(self, action: str) -> Change:
        return Change(actor=f"key:{self.key.friendly_name}", action=action, at=self.store.now())


@dataclass(frozen=True, slots=True)
class Tenant(Caller):
    """A caller within one business."""

    view: BusinessView

    @property
    def business_id(self) -> int:
        return self.view.business.business_id


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


def business_lock(request: Request) -> asyncio.Lock:
    """Businesses carry no version: their changes take turns instead."""
    return cast(asyncio.Lock, request.app.state.business_lock)


def _key_of(request: Request) -> ApiKey:
    return cast(ApiKey, request.state.api_key)


def _caller(scope: Scope) -> Callable[[Request], Caller]:
    def dependency(request: Request) -> Caller:
        key = _key_of(request)
        require(key, scope)
        return Caller(context_of(request), key)

    return dependency


def _operator(request: Request) -> Caller:
    key = _key_of(request)
    require(key, Scope.OPERATOR)
    if key.business_ids:
        raise PermissionDenied("this key is restricted to some businesses, and this call concerns all")
    return Caller(context_of(request), key)


def _tenant(scope: Scope) -> Callable[[Request, int], Tenant]:
    def dependency(request: Request, business_id: BusinessId) -> Tenant:
        context, key = context_of(request), _key_of(request)
        view = authorise(key, scope, business_id, context.live.current)
        return Tenant(context, key, view)

    return dependency


Browsing = Annotated[Caller, Depends(_caller(Scope.READ))]
Operating = Annotated[Caller, Depends(_operator)]
Reading = Annotated[Tenant, Depends(_tenant(Scope.READ))]
Managing = Annotated[Tenant, Depends(_tenant(Scope.MANAGE))]
BusinessLock = Annotated[asyncio.Lock, Depends(business_lock)]
