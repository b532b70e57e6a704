"""How long what is stored is kept, and the bounded steps that delete the rest."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from ringback.model import Value


class Keep(Value, frozen=True, kw_only=True):
    """Days. An event's payload and its row count from the end of its last delivery, or from its acceptance
    where it has none; held deliveries from when they would have been sent.
    """

    payloads: int
    attempts: int
    held: int
    audit: int
    minute_stats: int
    hour_stats: int


class Chore(StrEnum):
    """What retention does, in the order of a pass: what ends as dead today keeps its payload from today."""

    HELD = "held"
    PAYLOADS = "payloads"
    EVENTS = "events"
    HISTORY = "history"
    AUDIT = "audit"
    MINUTE_STATS = "minute_stats"
    HOUR_STATS = "hour_stats"


class Swept(Value, frozen=True, kw_only=True):
    """One step: rows by kind (`payloads`, `events`, `deliveries` …), and for how many ms the first was due.

    A step may have removed nothing and still be one of many: it may have looked at what has to stay.
    """

    removed: Mapping[str, int]
    behind_ms: int


class Keeping(Protocol):
    async def sweep(self, chore: Chore, keep: Keep, now: int, limit: int) -> Swept | None:
        """One step of a chore, about `limit` rows or pages of work; None when nothing of it is due.

        Nothing that waits or is being sent is touched, but for what was held too long: it becomes `dead`.
        An event goes with all its deliveries and attempts; its EventId is known until then. Any number
        of nodes may sweep at once.
        """
        ...
