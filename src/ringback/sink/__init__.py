"""A receiver to test with: it verifies what it gets, tells repeats apart, and fails on demand.

async with Sink(secrets=["…"]) as sink:
    …                                   # let something be delivered to sink.url
    await sink.wait_for(3)
    assert all(one.verified for one in sink.received)
"""

from ringback.sink.behaviour import Behaviour
from ringback.sink.receiver import Counts, Received, Sink

__all__ = ["Behaviour", "Counts", "Received", "Sink"]
