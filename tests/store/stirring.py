"""Everything that can happen to what a business has in its logs, in any order."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from ringback.errors import Conflict, NotFound
from ringback.model import AttemptResult, Decision, DeliveryState, IntegrationState, Leased
from ringback.store.port import Change
from tests.builders import (
    Tenant,
    change,
    dead,
    delivered,
    direct,
    leased_of,
    queued,
    result,
    retrying,
    unanswered,
)

TYPES = ("call.started", "call.completed")
# An audit log, a list of deliveries: what one page of an unfiltered list can hold, and a test compares with.
MOST_ROWS = 190


class Stirring:
    """`once` does one thing, drawn by `chance`, to `acme`; the other business stirs beside it."""

    def __init__(self, chance: Random, acme: Tenant, other: Tenant) -> None:
        self.chance = chance
        self.acme = acme
        self.other = other
        self.room = MOST_ROWS
        self._deliveries: list[int] = []
        self._leased: list[Leased] = []
        self._alive = list(range(len(acme.lanes)))

    async def fill(self, count: int) -> None:
        await self._accept_wide()
        for _ in range(count):
            await self._accept()
            await self._record(most=2)
            await self._pass_time()
        await self._send_test()
        await self._pause_or_resume()

    async def once(self) -> None:
        chance = self.chance
        acts = [
            (10, self._accept), (2, self._send_test), (10, self._record), (8, self._claim), (6, self._retry),
            (6, self._cancel), (6, self._pause_or_resume), (1, self._delete), (2, self._finish_cancellations),
            (2, self._others), (4, self._pass_time),
        ]  # fmt: skip
        weights, verbs = zip(*acts, strict=True)
        with suppress(Conflict, NotFound):
            await chance.choices(verbs, weights)[0]()

    # -- traffic

    async def _accept(self) -> None:
        if not self._takes(2):
            return
        chance, acme = self.chance, self.acme
        lanes = chance.sample(self._lanes(), chance.randint(1, len(self._alive)))
        targets = [direct(lane) if chance.random() < 0.6 else queued(lane) for lane in lanes[:2]]
        new = acme.new(*targets, event_type=chance.choice(TYPES))
        (accepted,) = await acme.accept(new)
        self._deliveries += accepted.delivery_ids
        self._leased += [
            leased_of(new, accepted, acme.clock(), place)
            for place, target in enumerate(targets)
            if target.direct
        ]

    async def _accept_wide(self) -> None:
        """One event with many deliveries."""
        new = self.acme.new(
            *(queued(lane) for lane in self.acme.lanes for _ in range(4)), event_id="evt_wide"
        )
        (accepted,) = await self.acme.accept(new)
        self._deliveries += accepted.delivery_ids
        self.room -= len(accepted.delivery_ids)

    async def _send_test(self) -> None:
        if not self._takes(1):
            return
        acme, now = self.acme, self.acme.clock()
        message = acme.new().message
        leased = Leased(
            delivery_id=0,
            integration_id=self.chance.choice(self._lanes()),
            message=message,
            attempts=0,
            tries=0,
            due_at=now,
            created_at=now,
        )
        state = self.chance.choice([DeliveryState.DELIVERED, DeliveryState.CANCELLED])
        await acme.store.record_test(
            message, result(leased, now, Decision(state=state), None, status=200), now
        )

    async def _claim(self) -> None:
        self._leased += await self.acme.claim(dict.fromkeys(self.acme.lanes, self.chance.randint(1, 3)))

    async def _record(self, most: int = 5) -> None:
        ending, self._leased = self._leased[:most], self._leased[most:]
        await self.acme.record(*map(self._ended, ending))

    def _ended(self, leased: Leased) -> AttemptResult:
        now = self.acme.clock()
        again = now + self.chance.choice([0, 5_000, 10**7])
        match self.chance.choice(["delivered", "dead", "retrying", "unanswered"]):
            case "delivered":
                return delivered(leased, now)
            case "dead":
                return dead(leased, now)
            case "retrying":
                return retrying(leased, now, again)
        return unanswered(leased, now, again)

    async def _others(self) -> None:
        self.other.version = self.acme.version
        await self.other.record(dead(await self.other.sending(), self.acme.clock()))

    # -- by hand

    async def _retry(self) -> None:
        chosen = self.chance.sample(self._deliveries, min(len(self._deliveries), 3))
        await self.acme.store.retry_deliveries(self.acme.id, chosen, self._change("delivery.retry"))

    async def _cancel(self) -> None:
        delivery_id = self.chance.choice(self._deliveries)
        await self.acme.store.cancel_delivery(self.acme.id, delivery_id, self._change("delivery.cancel"))

    async def _pause_or_resume(self) -> None:
        acme, place = self.acme, self.chance.choice(self._alive)
        paused = acme.integrations[place].state is IntegrationState.PAUSED
        await acme.set_state(IntegrationState.ACTIVE if paused else IntegrationState.PAUSED, place)

    async def _delete(self) -> None:
        if len(self._alive) < 2:
            return
        place = self._alive.pop()
        await self.acme.store.delete_integration(
            self.acme.id, self.acme.lanes[place], self._change("integration.delete")
        )
        await self.acme.refresh()

    async def _finish_cancellations(self) -> None:
        await self.acme.store.finish_cancellations(2, self.acme.clock())

    # -- the rest

    async def _pass_time(self) -> None:
        """Now and then the clock is set back."""
        self.acme.clock.pass_ms(self.chance.choice([1, 900, 7_000, 20_000, -25_000]))

    def _change(self, action: str) -> Change:
        return change(action, self.acme.clock(), self.chance.choice(["key:first", "key:second"]))

    def _lanes(self) -> list[int]:
        return [self.acme.lanes[place] for place in self._alive]

    def _takes(self, rows: int) -> bool:
        """Whether there is room for so many more."""
        if self.room < rows:
            return False
        self.room -= rows
        return True
