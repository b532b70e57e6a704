"""Identifiers: 63-bit integers inside, `dlv_1m86hhqsc0000` outside; both sort by time.

A row's id is the millisecond of its birth shifted left, then a counter. The store hands them out
inside the transaction that inserts the row, so they are unique, grow with every commit, and fit
SQLite's rowid and PostgreSQL's bigint. Published EventIds are text and a different thing.

All text is Crockford's base 32 in lower case, five bits a letter.
"""

from __future__ import annotations

from functools import lru_cache

COUNTER_BITS = 20
EVENT_ID_RANDOM_BYTES = 16

# What stands before `_` in the public ids of each kind of row.
INTEGRATION, DELIVERY, SECRET, API_KEY, USER = "intg", "dlv", "sec", "key", "usr"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
# Turns random bytes into random letters: eight bytes mean each letter.
_LETTERS = (_ALPHABET * 8).encode()
_TIME_LETTERS, _COUNTER_LETTERS = 9, 4
_COUNTER = (1 << COUNTER_BITS) - 1


def first_id(now_ms: int) -> int:
    """The smallest id a row born in this millisecond can have."""
    return now_ms << COUNTER_BITS


def random_id(now_ms: int, randomness: int) -> int:
    """For rows of the configuration, whose ids are made before they are stored."""
    return first_id(now_ms) | randomness & _COUNTER


def born_ms(row_id: int) -> int:
    return row_id >> COUNTER_BITS


def public(prefix: str, row_id: int) -> str:
    """`public("dlv", 1)` is `dlv_0000000000001`."""
    counter = row_id & _COUNTER
    return f"{prefix}_{_time(row_id >> COUNTER_BITS)}{_PAIRS[counter >> 10]}{_PAIRS[counter & 1023]}"


def internal(prefix: str, public_id: str) -> int | None:
    """The integer behind a public id; None where it is not one of that kind."""
    head, separator, letters = public_id.partition("_")
    if head != prefix or not separator or len(letters) != _TIME_LETTERS + _COUNTER_LETTERS:
        return None
    value = 0
    for letter in letters:
        part = _VALUES.get(letter)
        if part is None:
            return None
        value = value << 5 | part
    return value if 0 < value < 1 << 63 else None


def event_id(now_ms: int, randomness: bytes) -> str:
    """A generated EventId: a ULID after `evt_`, ten letters of time and sixteen of `randomness`."""
    return f"evt_0{_time(now_ms)}{randomness.translate(_LETTERS).decode()}"


@lru_cache(maxsize=4096)
def _time(ms: int) -> str:
    """45 bits, enough until the year 3084. Ids of one millisecond come together, hence the cache."""
    return _ALPHABET[ms >> 40] + "".join(_PAIRS[ms >> shift & 1023] for shift in (30, 20, 10, 0))
