"""How a sink answers: well, or badly on demand. Pure decisions."""

from __future__ import annotations

from random import Random

from ringback.model import Value

OK = 200


class Behaviour(Value, frozen=True, kw_only=True):
    """How to fail, and how often: of the requests picked, each waits `delay` seconds, then is answered
    `status` (an answer of 200 that is only late, where it is None) or has its connection cut.

    With both a status and resets, half of the failures are resets. `first` fails only the first so many
    requests of each event. Requests that are not picked are answered 200 at once.
    """

    status: int | None = None
    reset: bool = False
    delay: float = 0.0
    retry_after: int | None = None
    fail_rate: float = 100.0
    first: int | None = None

    def plan(self, times_seen: int, random: Random) -> Plan:
        """What becomes of a request for an event that was seen so often, this time included."""
        if not self._is_faulty or not self._picks(times_seen, random):
            return _WELL
        cut = self.reset and (self.status is None or random.random() < 0.5)
        return Plan(
            status=None if cut else self.status or OK,
            delay=self.delay,
            retry_after=None if cut else self.retry_after,
            on_purpose=True,
        )

    @property
    def _is_faulty(self) -> bool:
        return self.status is not None or self.reset or self.delay > 0

    def _picks(self, times_seen: int, random: Random) -> bool:
        early_enough = self.first is None or times_seen <= self.first
        return early_enough and random.random() * 100 < self.fail_rate


class Plan(Value, frozen=True, kw_only=True):
    """An answer to give. `status` None cuts the connection."""

    status: int | None = OK
    delay: float = 0.0
    retry_after: int | None = None
    on_purpose: bool = False


_WELL = Plan()
