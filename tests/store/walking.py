"""A reader who goes through a list page by page, and knows at each what has to be on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ringback.store.port import Page

# Limit and position.
Ask = Callable[[int, int | None], Awaitable[Page[Any]]]
Passes = Callable[[Any], bool]
There = Callable[[], Awaitable[set[int]]]
Stir = Callable[[], Awaitable[object]]


@dataclass
class Walk:
    """One reader of a list that is in order of the field `row_id`; `there` tells what it has now."""

    name: str
    row_id: str
    ask: Ask
    there: There
    before: int | None = None
    seen: list[int] = field(default_factory=list)
    throughout: set[int] | None = None

    async def step(self, limit: int) -> bool:
        """Read one page, which must be all that is there now between its ends; False after the last."""
        there = await self.there()
        self.throughout = there if self.throughout is None else self.throughout & there
        page = await self.ask(limit, self.before)
        shown = [getattr(row, self.row_id) for row in page.items]
        first, last = self.before, page.next_before
        between = {one for one in there if (first is None or one < first) and (last is None or one >= last)}
        assert shown == sorted(between, reverse=True), f"{self.name}: {first} to {last}"
        assert len(shown) <= limit, self.name
        self.seen += shown
        self.before = last
        return last is not None

    def check_end(self) -> None:
        assert self.throughout is not None
        assert len(self.seen) == len(set(self.seen)), f"{self.name}: seen twice"
        assert self.throughout <= set(self.seen), f"{self.name}: not seen"


def passing(row_id: str, everything: Ask, passes: Passes) -> There:
    """Of a short list without filters, read at once, the rows that pass."""

    async def there() -> set[int]:
        whole = await everything(200, None)
        assert whole.next_before is None
        return {getattr(row, row_id) for row in whole.items if passes(row)}

    return there


async def walk_all(chance: Random, walks: list[Walk], stir: Stir) -> None:
    """All walks go on by turns, in any order, and something changes between any two pages."""
    under_way = list(walks)
    while under_way:
        one = chance.choice(under_way)
        if not await one.step(chance.randint(1, 12)):
            one.check_end()
            under_way.remove(one)
        await stir()
