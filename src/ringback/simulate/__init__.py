"""Realistic Iqra call traffic for any server: whole calls, in order, at a rate."""

from __future__ import annotations

from random import Random
from typing import TextIO

from ringback.clock import wall_ms
from ringback.model import Value
from ringback.simulate.calls import calls
from ringback.simulate.publisher import SINGLE_EVENTS_PER_SECOND, Destination, Publisher, Tally

__all__ = ["Destination", "Publisher", "Tally", "Traffic", "calls", "publisher_for", "simulate"]


class Traffic(Value, frozen=True, kw_only=True):
    """`rate` in events per second overall; `calls` 0 has no end; call time runs `compress` times faster."""

    rate: float
    calls: int
    seed: int
    compress: float


def publisher_for(traffic: Traffic, destination: Destination, ledger: TextIO | None) -> Publisher:
    return Publisher(destination, batching=traffic.rate > SINGLE_EVENTS_PER_SECOND, ledger=ledger)


async def simulate(traffic: Traffic, publisher: Publisher) -> Tally:
    """Publish the traffic, beginning now, until its calls are over or the publisher is stopped."""
    events = calls(
        Random(traffic.seed),
        wall_ms(),
        events_per_second=traffic.rate,
        compress=traffic.compress,
        count=traffic.calls,
    )
    return await publisher.run(events)
