"""A step of retention costs what its limit says, however much is stored; what must stay is looked at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from ringback.statistics import DAY_MS
from ringback.store.port import Chore
from tests.builders import KEEP, Tenant
from tests.store.full import FINISHED, HELD, OPEN, SMALL, Full, filled

LIMIT = 100
LARGE_STEP = 5_000
# More than a pass over nothing takes, and far less than one look at each row would.
FEW_STEPS = 2_000


def a_step(chore: Chore, days: int) -> Callable[[Tenant], Awaitable[Any]]:
    async def sweep(tenant: Tenant) -> None:
        assert await tenant.store.sweep(chore, KEEP, tenant.clock() + days * DAY_MS, LIMIT) is not None

    return sweep


async def a_pass(tenant: Tenant, days: int) -> None:
    """Everything but what is held."""
    for chore in [one for one in Chore if one is not Chore.HELD]:
        while await tenant.store.sweep(chore, KEEP, tenant.clock() + days * DAY_MS, LARGE_STEP) is not None:
            pass


STEPS = {
    "held": a_step(Chore.HELD, 31),
    "payloads of what waits": a_step(Chore.PAYLOADS, 31),
    "rows of what waits": a_step(Chore.EVENTS, 91),
    "audit": a_step(Chore.AUDIT, 401),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("step", STEPS)
async def test_a_step_costs_the_same_however_much_is_stored(small: Full, large: Full, step: str) -> None:
    few, many = await small.steps(STEPS[step]), await large.steps(STEPS[step])
    assert many < few * 1.5 + 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("size", [SMALL, 20 * SMALL])
async def test_what_has_to_stay_is_looked_at_once(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    """Two lanes in which so much waits, one of them held; as much is finished."""
    full = await filled(tmp_path_factory.mktemp("once") / "ringback.db", size)
    tenant = full.tenant
    count = tenant.store._db._db.execute  # type: ignore[attr-defined]
    try:
        await a_pass(tenant, 91)
        of_lane = "SELECT count(*) FROM deliveries WHERE integration_id = ?"
        left = {place: count(of_lane, (tenant.lanes[place],)).get for place in (OPEN, HELD, FINISHED)}
        assert left == {OPEN: size, HELD: size, FINISHED: 0}
        assert count("SELECT count(*) FROM kept_events").get == 2 * (2 * size)

        for days in (92, 100, 120):
            assert await full.steps(partial(a_pass, days=days)) < FEW_STEPS
        assert await tenant.store.sweep(Chore.PAYLOADS, KEEP, tenant.clock() + 122 * DAY_MS, 1)
    finally:
        await tenant.store.close()
