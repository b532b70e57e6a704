"""Cursors: where a walk through a list stands, tied to the list and the filters it began with."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from ringback.errors import FieldError, InvalidRequest

_POSITION_BYTES = 8
_DIGEST_BYTES = 8
_NOT_OURS = "is not a cursor that was handed out here"


def encode(position: int, walk: object) -> str:
    """`walk` names the list and its filters: anything whose `repr` says so."""
    return _written(position.to_bytes(_POSITION_BYTES, "big"), walk)


def decode(cursor: str, walk: object) -> int:
    """The position. Raises InvalidRequest where the cursor is broken or of another walk."""
    place = _place(cursor, walk)
    position = int.from_bytes(place, "big", signed=True)
    if len(place) != _POSITION_BYTES or position < 0:
        raise _refused(_NOT_OURS)
    return position


def encode_name(name: str, walk: object) -> str:
    """For a list that is in order of its names."""
    return _written(name.encode(), walk)


def decode_name(cursor: str, walk: object) -> str:
    """Raises InvalidRequest as `decode` does."""
    try:
        return _place(cursor, walk).decode()
    except UnicodeDecodeError:
        raise _refused(_NOT_OURS) from None


def _written(place: bytes, walk: object) -> str:
    return urlsafe_b64encode(place + _digest(walk)).decode()


def _place(cursor: str, walk: object) -> bytes:
    raw = _raw(cursor)
    if len(raw) < _DIGEST_BYTES:
        raise _refused(_NOT_OURS)
    if raw[-_DIGEST_BYTES:] != _digest(walk):
        raise _refused("belongs to another list or to other filters; start again without it")
    return raw[:-_DIGEST_BYTES]


def _raw(cursor: str) -> bytes:
    """Empty where it is nothing that was encoded here: base64's decoder alone takes much that is not."""
    try:
        raw = urlsafe_b64decode(cursor)
    except (Base64Error, ValueError):
        return b""
    return raw if urlsafe_b64encode(raw).decode() == cursor else b""


def _digest(walk: object) -> bytes:
    return sha256(repr(walk).encode()).digest()[:_DIGEST_BYTES]


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(FieldError("Cursor", why))
