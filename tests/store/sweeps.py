"""Retention as tests ask for it: everything that is due now, whatever the number of steps."""

from __future__ import annotations

from collections import Counter

from ringback.store.port import Chore, Keep
from tests.builders import KEEP, Tenant

MINUTE = 60_000
# Chores that are about events.
PATH = (Chore.HELD, Chore.PAYLOADS, Chore.EVENTS)


async def swept(acme: Tenant, *chores: Chore, keep: Keep = KEEP, limit: int = 500) -> Counter[str]:
    """All steps of the chores, now; what they removed. Without any: those that are about events."""
    removed: Counter[str] = Counter()
    await acme.store.fold_statistics(1_000, acme.clock())
    for chore in chores or PATH:
        while (step := await acme.store.sweep(chore, keep, acme.clock(), limit)) is not None:
            removed.update(step.removed)
    return +removed
