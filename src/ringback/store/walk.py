"""Every row of a list, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from ringback.store.port import Page

LIMIT = 200

T = TypeVar("T")


async def walk(page_before: Callable[[int | None], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """`page_before` asks for one page: `walk(lambda before: store.list_keys(LIMIT, before))`."""
    before: int | None = None
    while True:
        page = await page_before(before)
        for item in page.items:
            yield item
        if page.next_before is None:
            return
        before = page.next_before
