"""Walks through lists, page by page."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`next_before` continues the walk: the row id to pass as `before`; None at the end.

    A page may hold fewer rows than asked for and still have a next one: what a page may scan is bounded.
    """

    items: tuple[T, ...]
    next_before: int | None
