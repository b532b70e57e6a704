"""The filters that the event log and the delivery log share."""

from __future__ import annotations

from pydantic import Field

from ringback.api.paging import PageQuery
from ringback.payloads import parse_timestamp

_EXAMPLE = "2026-11-23T12:00:00Z"
# 2200-01-01. No row is younger, and times far beyond it have no row id.
_LATEST_MS = 7_258_118_400_000


class LogQuery(PageQuery):
    test: bool | None = Field(None, description="Test sends alone, or none of them")
    since: str | None = Field(None, description="CreatedAt at or after, RFC 3339", examples=[_EXAMPLE])
    until: str | None = Field(None, description="CreatedAt before, RFC 3339", examples=[_EXAMPLE])

    def since_ms(self) -> int | None:
        return _moment(self.since, "Since")

    def until_ms(self) -> int | None:
        return _moment(self.until, "Until")


def _moment(text: str | None, field: str) -> int | None:
    return None if text is None else min(max(parse_timestamp(text, field), 0), _LATEST_MS)
