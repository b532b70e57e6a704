"""Pages of a list: the parameters that every list takes, and the way from a store's page to an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from ringback.api import cursors, objects
from ringback.store.port import Page

Row = TypeVar("Row")
Item = TypeVar("Item")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
Listed = objects.Envelope[objects.Page[Item]]


class PageQuery(BaseModel):
    """A list's parameters; a subclass adds its filters."""

    model_config = ConfigDict(alias_generator=to_pascal, frozen=True)

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, description="`NextCursor` of the page before")

    def before(self, *walk: object) -> int | None:
        """The position to go on from. `walk` names the list that is walked."""
        return None if self.cursor is None else cursors.decode(self.cursor, self._identity(walk))

    def listed(self, found: Page[Row], shown: Callable[[Row], Item], *walk: object) -> Listed[Item]:
        position = found.next_before
        following = None if position is None else cursors.encode(position, self._identity(walk))
        page = objects.Page(items=[shown(row) for row in found.items], next_cursor=following)
        return objects.Envelope(data=page)

    def listed_by_name(
        self, rows: Mapping[str, Row], shown: Callable[[Row], Item], *walk: object
    ) -> Listed[Item]:
        """A page of what is short and at hand, in order of its names."""
        identity = self._identity(walk)
        after = "" if self.cursor is None else cursors.decode_name(self.cursor, identity)
        names = sorted(name for name in rows if name > after)
        here = names[: self.limit]
        following = cursors.encode_name(here[-1], identity) if len(names) > self.limit else None
        page = objects.Page(items=[shown(rows[name]) for name in here], next_cursor=following)
        return objects.Envelope(data=page)

    def _identity(self, walk: tuple[object, ...]) -> object:
        filters = self.model_dump(exclude={"limit", "cursor"}, mode="json")
        return (*walk, sorted(filters.items()))
