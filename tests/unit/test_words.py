from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import words

NOON = int(datetime(2026, 5, 3, 12, tzinfo=UTC).timestamp() * 1000)
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "under 1 ms"),
        (0.4, "under 1 ms"),
        (38.2, "38 ms"),
        (1_312, "1.3 s"),
        (5_000, "5.0 s"),
        (42_900, "42 s"),
        (MINUTE, "1 m"),
        (6 * MINUTE + 2 * SECOND, "6 m 2 s"),
        (12 * MINUTE + 2 * SECOND, "12 m"),
        (6 * HOUR, "6 h"),
        (7 * HOUR + 21 * MINUTE, "7 h 21 m"),
        (2 * DAY + HOUR, "2 days"),
    ],
)
def test_durations(ms: float, shown: str) -> None:
    assert words.duration(ms) == shown


def test_times_of_the_same_day_need_no_date() -> None:
    later, tomorrow = NOON + 2 * HOUR + 7 * SECOND, NOON + DAY
    soon = NOON + MINUTE + 7 * SECOND

    assert words.moment(later, NOON) == "14:00:07 UTC"
    assert words.moment(tomorrow, NOON) == "4 May 2026, 12:00:00 UTC"
    assert words.at(later, NOON) == "at 14:00:07 UTC"
    assert words.at(tomorrow, NOON) == "on 4 May 2026 at 12:00:00 UTC"
    assert words.at_about(tomorrow, NOON) == "on 4 May 2026 at about 12:00 UTC"
    assert words.at_about(soon, NOON) == "at about 12:01:07 UTC"
    assert words.date(NOON) == "3 May 2026"


def test_what_is_to_come_is_rounded_up() -> None:
    assert words.away(NOON + MINUTE - 1, NOON) == "in 1 m"
    assert words.away(NOON - 2 * DAY, NOON) == "2 days ago"


def test_lists() -> None:
    assert [words.joined(list(items)) for items in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert words.first_few(list("abcde"), 3) == "a, b, c and 2 more"
    assert words.first_few(list("abc"), 3) == "a, b and c"
    assert [words.times(count) for count in (1, 2)] == ["once", "2 times"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer", "No answer"),
        ("gone.test has none", "gone.test has none"),
        ("10.0.0.1 is", "10.0.0.1 is"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_but_a_name_stays(text: str, shown: str) -> None:
    assert words.sentence(text) == shown


@given(st.text(), st.integers(1, 50))
def test_other_people_s_text_is_short_and_harmless(text: str, limit: int) -> None:
    shown = words.printable(text, limit)

    assert len(shown) <= limit
    assert shown.isprintable()


def test_directions_and_controls_are_spaces() -> None:
    assert words.printable("a\x1b[31mb\u202ec\n\n d", 50) == "a [31mb c d"
    assert words.printable("abcdef", 4) == "abc…"
