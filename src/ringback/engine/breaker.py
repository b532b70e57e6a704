"""When an endpoint does nothing but fail: its lane waits, one probe at a time asks whether it is back.

    closed ──a run of failures──► open ──its pause is over──► probing ──success──► recovering ──► closed
                                   ▲                              │                     │
                                   └────────── failure ───────────┴───── failure ───────┘

A pure value: what an attempt came to goes in, how many attempts may run comes out. Deliveries that
wait behind an open breaker keep their attempts.
"""

from __future__ import annotations

from ringback.model import Value

TRIPS_AFTER = 20
FIRST_PAUSE_MS = 15_000
LONGEST_PAUSE_MS = 15 * 60_000
# Recovering lanes double what they may run with every success; here they are well again.
RECOVERED_AT = 64


class Breaker(Value, frozen=True, kw_only=True):
    """`pauses`: how often in a row it opened. `allowed`: what a recovering lane may run at once."""

    failures: int = 0
    open_until: int | None = None
    pauses: int = 0
    allowed: int | None = None


CLOSED = Breaker()


def limit(breaker: Breaker, cap: int, now: int) -> int:
    """How many attempts may run at once; `cap` where nothing is wrong."""
    if breaker.open_until is not None:
        return 0 if now < breaker.open_until else 1
    return cap if breaker.allowed is None else min(cap, breaker.allowed)


def after_success(breaker: Breaker) -> Breaker:
    if breaker.open_until is not None:
        return Breaker(allowed=2)
    if breaker.allowed is None or breaker.allowed * 2 >= RECOVERED_AT:
        return CLOSED
    return Breaker(allowed=breaker.allowed * 2)


def after_failure(breaker: Breaker, now: int) -> Breaker:
    if breaker.open_until is not None:
        # Attempts that began before it opened come back late and say nothing new.
        return breaker if now < breaker.open_until else _open(breaker.pauses + 1, now)
    failures = breaker.failures + 1
    if failures >= TRIPS_AFTER or breaker.allowed is not None:
        return _open(1, now)
    return Breaker(failures=failures)


def _open(pauses: int, now: int) -> Breaker:
    pause = min(FIRST_PAUSE_MS << min(pauses - 1, 20), LONGEST_PAUSE_MS)
    return Breaker(open_until=now + pause, pauses=pauses)
