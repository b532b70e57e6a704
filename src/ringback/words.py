"""Times, counts and other people's text as they stand in a sentence: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_SHORT_SECONDS = 10 * _SECOND
_SHORT_MINUTES = 10 * _MINUTE
_FEW_DAYS = 2 * _DAY


def printable(text: str, limit: int) -> str:
    """On one line, without control and direction characters, cut with `…` at `limit` characters."""
    taken = text[: limit * 4]
    shown = " ".join("".join(one if one.isprintable() else " " for one in taken).split())
    return clipped(shown, limit)


def clipped(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def sentence(text: str) -> str:
    """With a capital, unless it begins with a name or a number."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first.isascii() and first.islower() else text


def joined(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    head = ", ".join(items[:-1])
    return f"{head} and {items[-1]}" if head else "".join(items)


def first_few(items: Sequence[str], most: int) -> str:
    """`a, b and 5 more`."""
    if len(items) <= most:
        return joined(items)
    return joined([*items[:most], f"{len(items) - most} more"])


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def duration(ms: float) -> str:
    """`under 1 ms`, `38 ms`, `1.3 s`, `42 s`, `6 m 2 s`, `12 m`, `7 h 21 m`, `3 days`."""
    if ms < 1:
        return "under 1 ms"
    if ms < _SECOND:
        return f"{ms:.0f} ms"
    if ms < _MINUTE:
        return f"{ms / _SECOND:.1f} s" if ms < _SHORT_SECONDS else f"{ms // _SECOND:.0f} s"
    if ms < _HOUR:
        return _two(int(ms), (_MINUTE, "m"), (_SECOND, "s"), both=ms < _SHORT_MINUTES)
    if ms < _FEW_DAYS:
        return _two(int(ms), (_HOUR, "h"), (_MINUTE, "m"), both=True)
    return f"{ms // _DAY:.0f} days"


def _two(ms: int, large: tuple[int, str], small: tuple[int, str], *, both: bool) -> str:
    size, unit = large
    whole, rest = divmod(ms, size)
    part = rest // small[0]
    return f"{whole} {unit} {part} {small[1]}" if both and part else f"{whole} {unit}"


def date(ms: int) -> str:
    """`3 May 2026`, UTC."""
    return _date(_moment(ms))


def moment(ms: int, now: int) -> str:
    """`15:14:07 UTC`; on another day than now `3 May 2026, 15:14:07 UTC`."""
    then = _moment(ms)
    clock = f"{then:%H:%M:%S} UTC"
    return clock if then.date() == _moment(now).date() else f"{_date(then)}, {clock}"


def at(ms: int, now: int) -> str:
    """`at 15:14:07 UTC`; on another day than now `on 3 May 2026 at 15:14:07 UTC`."""
    return _on_day(ms, now) + f"at {_moment(ms):%H:%M:%S} UTC"


def at_about(ms: int, now: int) -> str:
    """As `at`, to the minute where it is more than an hour away."""
    clock = "%H:%M" if ms - now > _HOUR else "%H:%M:%S"
    return _on_day(ms, now) + f"at about {_moment(ms):{clock}} UTC"


def away(ms: int, now: int) -> str:
    """`in 12 m` (whole seconds, rounded up) or `3 days ago`."""
    return f"in {duration(-(-(ms - now) // _SECOND) * _SECOND)}" if ms > now else f"{duration(now - ms)} ago"


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _on_day(ms: int, now: int) -> str:
    then = _moment(ms)
    return "" if then.date() == _moment(now).date() else f"on {_date(then)} "


def _date(then: datetime) -> str:
    return f"{then.day} {_MONTHS[then.month - 1]} {then.year}"
