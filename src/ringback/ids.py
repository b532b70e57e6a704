"""Identifiers: 63-bit integers inside, `dlv_01kb3v9q2m4xa` outside; both sort by time.

A row's id is the millisecond of its birth shifted left, then a counter. The store hands them out
inside the transaction that inserts the row, so they are unique, grow with every commit, and fit
SQLite's rowid and PostgreSQL's bigint. Published EventIds are text and a different thing.
"""

from __future__ import annotations

from base64 import b32hexencode

COUNTER_BITS = 20
_HEX_TO_CROCKFORD = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUV", "0123456789abcdefghjkmnpqrstvwxyz")
_FROM_CROCKFORD = {letter: value for value, letter in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}
_PUBLIC_LENGTH = 13


def first_id(now_ms: int) -> int:
    """The smallest id a row born in this millisecond can have."""
    return now_ms << COUNTER_BITS


def born_ms(row_id: int) -> int:
    return row_id >> COUNTER_BITS


def public(prefix: str, row_id: int) -> str:
    """`public("dlv", 1)` is `dlv_0000000000001`: 65 bits of Crockford's base 32, sortable as text."""
    padded = (row_id << 7).to_bytes(9, "big")
    return f"{prefix}_{b32hexencode(padded)[:_PUBLIC_LENGTH].decode().translate(_HEX_TO_CROCKFORD)}"


def internal(prefix: str, public_id: str) -> int | None:
    """The integer behind a public id; None where it is not one of that kind."""
    head, separator, digits = public_id.partition("_")
    if head != prefix or not separator or len(digits) != _PUBLIC_LENGTH:
        return None
    value = 0
    for digit in digits:
        part = _FROM_CROCKFORD.get(digit)
        if part is None:
            return None
        value = value << 5 | part
    return value if 0 < value < 1 << 63 else None


def event_id(now_ms: int, randomness: int) -> str:
    """A generated EventId: a UUIDv7 written as TypeID does, 26 characters after `evt_`."""
    uuid7 = now_ms << 80 | 7 << 76 | (randomness >> 62 & 0xFFF) << 64 | 2 << 62 | randomness & (1 << 62) - 1
    padded = (uuid7 << 6).to_bytes(17, "big")
    return f"evt_{b32hexencode(padded)[:26].decode().translate(_HEX_TO_CROCKFORD)}"
