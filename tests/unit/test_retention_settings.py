"""How long things are kept can be set, within reason."""

from __future__ import annotations

import pytest

from ringback.config import load
from ringback.errors import ConfigurationError


@pytest.mark.parametrize(
    "name",
    ["payload_days", "attempt_days", "hold_days", "audit_days", "minute_stats_days", "hour_stats_days"],
)
@pytest.mark.parametrize("days", ["0", "-1", "36501", "1.5", "a week"])
def test_days_are_whole_numbers_from_one(name: str, days: str) -> None:
    variable = f"RINGBACK_{name.upper()}"

    with pytest.raises(ConfigurationError, match=variable):
        load({}, {variable: days})


@pytest.mark.parametrize("environ", [{}, {"RINGBACK_ATTEMPT_DAYS": "99"}])
def test_an_event_is_not_deleted_before_its_payload(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="must be at least payload_days, which is 100"):
        load({}, {"RINGBACK_PAYLOAD_DAYS": "100", **environ})


def test_both_may_go_on_the_same_day() -> None:
    settings = load({}, {"RINGBACK_PAYLOAD_DAYS": "3", "RINGBACK_ATTEMPT_DAYS": "3"})

    assert (settings.payload_days, settings.attempt_days) == (3, 3)
