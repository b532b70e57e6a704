"""Cursors: where a walk through a list stands, tied to the list and the filters it began with."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from ringback.errors import FieldError, InvalidRequest

_POSITION_BYTES = 8
_DIGEST_BYTES = 8
_LENGTH = 4 * -(-(_POSITION_BYTES + _DIGEST_BYTES) // 3)


def encode(position: int, walk: object) -> str:
    """`walk` names the list and its filters: anything whose `repr` says so."""
    raw = position.to_bytes(_POSITION_BYTES, "big") + _digest(walk)
    return urlsafe_b64encode(raw).decode()


def decode(cursor: str, walk: object) -> int:
    """The position. Raises InvalidRequest where the cursor is broken or of another walk."""
    raw = _raw(cursor)
    if raw is None:
        raise _refused("is not a cursor that was handed out here")
    if raw[_POSITION_BYTES:] != _digest(walk):
        raise _refused("belongs to another list or to other filters; start again without it")
    return int.from_bytes(raw[:_POSITION_BYTES], "big", signed=True)


def _raw(cursor: str) -> bytes | None:
    if len(cursor) != _LENGTH or not cursor.isascii():
        return None
    try:
        raw = urlsafe_b64decode(cursor)
    except (Base64Error, ValueError):
        return None
    return raw if len(raw) == _POSITION_BYTES + _DIGEST_BYTES else None


def _digest(walk: object) -> bytes:
    return sha256(repr(walk).encode()).digest()[:_DIGEST_BYTES]


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(FieldError("Cursor", why))
