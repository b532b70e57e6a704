"""How often the engine looks after things that nothing wakes it for."""

from __future__ import annotations

from ringback.model import Value


class Pace(Value, frozen=True, kw_only=True):
    """Seconds between two steps. Rescue and orphans together keep a crash's work waiting under 15 s."""

    look: float = 1.0
    heartbeat: float = 2.0
    rescue: float = 3.0
    orphans: float = 4.0
    cancellations: float = 2.0
    depth: float = 10.0
    statistics: float = 10.0
    retention: float = 60.0
    secrets: float = 15.0
    sessions: float = 60.0
