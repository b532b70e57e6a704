"""Who calls, and what they may reach.

Plain functions: the publish route calls them, `route` and `reach` offer them to FastAPI.
Another business's object does not exist for a key that is kept from it: NotFound, never PermissionDenied.
"""

from __future__ import annotations

from ringback.apikeys import digest_of
from ringback.errors import BusinessDisabled, InvalidApiKey, NotFound, PermissionDenied
from ringback.match import BusinessView, Snapshot
from ringback.model import ApiKey, Scope
from ringback.people import Principal

_SCHEMES = frozenset({b"token", b"bearer"})


def authenticate(header: bytes | None, snapshot: Snapshot) -> ApiKey:
    """The key behind an `Authorization` header. Raises InvalidApiKey."""
    if not header:
        raise InvalidApiKey("no API key: send it as `Authorization: Token <key>`")
    scheme, _, key = header.partition(b" ")
    if scheme.lower() not in _SCHEMES:
        raise InvalidApiKey("the Authorization header must read `Token <key>` or `Bearer <key>`")
    found = snapshot.keys.get(digest_of(key.strip()))
    if found is None:
        raise InvalidApiKey("this API key is not known; it may have been revoked")
    return found


def authorise(principal: Principal, scope: Scope, business_id: int, snapshot: Snapshot) -> BusinessView:
    """The business, where this caller may use it so. Raises NotFound, PermissionDenied, BusinessDisabled."""
    view = snapshot.businesses.get(business_id) if principal.reaches(business_id) else None
    if view is None:
        raise NotFound(f"there is no business {business_id}")
    require(principal, scope)
    if scope is Scope.PUBLISH and not view.business.enabled:
        raise BusinessDisabled(f"business {business_id} is disabled and takes no events")
    return view


def require(principal: Principal, scope: Scope) -> None:
    """Raises PermissionDenied."""
    if not principal.allows(scope):
        raise PermissionDenied(f"{principal.described} does not have the scope `{scope}`")
