"""Which integrations want an event: pure look-ups on a snapshot of the configuration.

A snapshot is one version of everything a publish needs to know. It is never changed, only replaced,
so its answers can be remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from ringback.catalog import BUILT_IN, EventType
from ringback.model import ApiKey, Business, Integration, IntegrationState, Value

ANY = "*"
GROUP_SUFFIX = ".*"


def wants(patterns: Iterable[str], event_type: str) -> bool:
    """`call.*` matches at any depth below `call`, `*` everything."""
    return any(
        pattern in (ANY, event_type)
        or (pattern.endswith(GROUP_SUFFIX) and event_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


class WhyNot(StrEnum):
    """Why an integration got nothing of an event."""

    NOT_SUBSCRIBED = "not_subscribed"
    CREATED_LATER = "created_later"
    DELETED = "deleted"
    TEST_ONLY = "test_only"


class Standing(Value, frozen=True, kw_only=True):
    """What an integration was when an event was accepted."""

    events: tuple[str, ...]
    deleted: bool


def why_not(then: Standing | None, event_type: str, *, test: bool) -> WhyNot | None:
    """Why an integration that a test was not sent to, or of this standing, got nothing; None where it did get
    the event. There is no standing before an integration's creation."""
    if test:
        return WhyNot.TEST_ONLY
    if then is None:
        return WhyNot.CREATED_LATER
    if then.deleted:
        return WhyNot.DELETED
    return None if wants(then.events, event_type) else WhyNot.NOT_SUBSCRIBED


class BusinessView:
    """One business at one version: its integrations (deleted ones apart) and its event types."""

    def __init__(
        self,
        business: Business,
        integrations: tuple[Integration, ...],
        own_types: Mapping[str, EventType] | None = None,
    ) -> None:
        self.business = business
        self.integrations = integrations
        self.own_types = own_types or {}
        self.types: Mapping[str, EventType] = {**BUILT_IN, **own_types} if own_types else BUILT_IN
        self._matches: dict[str, tuple[Integration, ...]] = {}

    def match(self, event_type: str) -> tuple[Integration, ...]:
        """The integrations that get this event, held ones too."""
        found = self._matches.get(event_type)
        if found is None:
            found = tuple(one for one in self.integrations if wants(one.events, event_type))
            self._matches[event_type] = found
        return found


class Snapshot:
    """The configuration at one version."""

    def __init__(
        self, version: int, businesses: Mapping[int, BusinessView], keys: Mapping[bytes, ApiKey]
    ) -> None:
        self.version = version
        self.businesses = businesses
        self.keys = keys
        self.integrations: dict[int, Integration] = {
            one.integration_id: one for view in businesses.values() for one in view.integrations
        }
        # Those whose lanes are not held: they may be sent to now.
        self.open: dict[int, Integration] = {
            one.integration_id: one
            for view in businesses.values()
            if view.business.enabled
            for one in view.integrations
            if one.state is IntegrationState.ACTIVE
        }


EMPTY = Snapshot(0, {}, {})
