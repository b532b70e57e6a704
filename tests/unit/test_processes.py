"""How soon a process that died is started again."""

from __future__ import annotations

from ringback.processes import MAX_YOUNG_DEATHS, seconds_before_restart


def test_one_that_lived_is_started_at_once_and_one_that_does_not_live_is_given_up() -> None:
    waits = [seconds_before_restart(deaths) for deaths in range(MAX_YOUNG_DEATHS + 1)]
    assert waits == [0.0, 0.0, 1.0, 2.0, None]
