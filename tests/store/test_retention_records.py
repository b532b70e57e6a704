"""History, the audit log and statistics have times of their own."""

from __future__ import annotations

from ringback.model import DeliveryState, IntegrationState
from ringback.statistics import DAY_MS
from ringback.store.port import Chore
from tests.builders import Tenant
from tests.store.conftest import Look
from tests.store.sweeps import MINUTE, swept


async def test_history_stays_as_far_back_as_there_are_events(acme: Tenant, look: Look) -> None:
    history = "SELECT count(*) FROM integration_history WHERE integration_id = ?"
    await acme.in_state(DeliveryState.DELIVERED)
    for state in (IntegrationState.PAUSED, IntegrationState.ACTIVE, IntegrationState.PAUSED):
        acme.clock.pass_ms(DAY_MS)
        await acme.set_state(state)
    acme.clock.pass_ms(DAY_MS)
    await acme.in_state(DeliveryState.DELIVERED)

    assert await swept(acme, Chore.HISTORY) == {}
    acme.clock.pass_ms(90 * DAY_MS - 1)
    await swept(acme, Chore.EVENTS)
    assert await swept(acme, Chore.HISTORY) == {"history": 3}
    assert look(history, acme.lane) == [(1,)], "what is in force is needed for the events to come"
    acme.clock.pass_ms(DAY_MS)
    await swept(acme)
    assert look(history, acme.lane) == [(1,)]


async def test_what_was_in_force_at_the_oldest_event_stays(acme: Tenant, look: Look) -> None:
    acme.clock.pass_ms(DAY_MS)
    await acme.in_state(DeliveryState.DELIVERED)
    acme.clock.pass_ms(DAY_MS)
    await acme.set_state(IntegrationState.PAUSED)

    await swept(acme, Chore.HISTORY)

    states = look(
        "SELECT state FROM integration_history WHERE integration_id = ? ORDER BY since_id", acme.lane
    )
    assert states == [("active",), ("paused",)]


async def test_the_audit_log_goes_line_by_line(acme: Tenant, look: Look) -> None:
    (before,) = look("SELECT count(*) FROM audit")[0]
    acme.clock.pass_ms(DAY_MS)
    await acme.set_state(IntegrationState.PAUSED)

    acme.clock.pass_ms(399 * DAY_MS)
    assert await swept(acme, Chore.AUDIT) == {"audit": before}
    assert look("SELECT action FROM audit") == [("thing.change",)]
    acme.clock.pass_ms(DAY_MS)
    assert await swept(acme, Chore.AUDIT) == {"audit": 1}


async def test_rollups_go_by_their_own_time_and_by_no_other(acme: Tenant, look: Look) -> None:
    await acme.in_state(DeliveryState.DELIVERED)
    hours = "SELECT * FROM delivery_stats WHERE grain = 3600000"

    acme.clock.pass_ms(8 * DAY_MS)
    assert (await swept(acme, *Chore))["minute_stats"] == 0
    counted = look(hours)
    assert counted
    acme.clock.pass_ms(MINUTE)
    assert (await swept(acme, *Chore))["minute_stats"] == 6
    acme.clock.pass_ms(300 * DAY_MS)
    await swept(acme, *Chore)
    assert look(hours) == counted, "what events leave behind is untouched"
    acme.clock.pass_ms(100 * DAY_MS)
    assert (await swept(acme, *Chore))["hour_stats"] == 12
    assert look("SELECT 1 FROM attempt_detail UNION ALL SELECT 1 FROM intake_stats") == []
