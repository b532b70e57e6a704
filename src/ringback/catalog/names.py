"""The names of event types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest

MAX_NAME_LENGTH = 100
# How alike two names are takes long to find out: only those that begin and end most alike are compared.
_MOST_COMPARED = 3

_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9][a-z0-9_]*)+")


def is_valid_name(name: str) -> bool:
    """Dotted lower-case: `call.completed`, `order.line_item.added`."""
    return len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant; None where nothing is close."""
    plain = name[:MAX_NAME_LENGTH].strip().lower()
    likely = nlargest(_MOST_COMPARED, known, key=lambda one: _ends_in_common(one, plain))
    close = get_close_matches(plain, likely, n=1)
    return close[0] if close else None


def _ends_in_common(one: str, other: str) -> int:
    return _start_in_common(one, other) + _start_in_common(one[::-1], other[::-1])


def _start_in_common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    different = (place for place, (left, right) in enumerate(pairs) if left != right)
    return next(different, min(len(one), len(other)))
