"""The filters that several logs share."""

from __future__ import annotations

from pydantic import Field

from ringback.api.paging import PageQuery
from ringback.errors import FieldError, InvalidRequest
from ringback.payloads import parse_timestamp

_EXAMPLE = "2026-11-23T12:00:00Z"
# 2200-01-01. No row is younger, and times far beyond it have no row id.
_LATEST_MS = 7_258_118_400_000


class TimeQuery(PageQuery):
    since: str | None = Field(None, description="CreatedAt at or after, RFC 3339", examples=[_EXAMPLE])
    until: str | None = Field(None, description="CreatedAt before, RFC 3339", examples=[_EXAMPLE])

    def since_ms(self) -> int | None:
        """Raises InvalidRequest where the range ends before it begins."""
        since, until = _moment(self.since, "Since"), self.until_ms()
        if since is not None and until is not None and until < since:
            raise InvalidRequest(FieldError("Since", "must not be after Until"))
        return since

    def until_ms(self) -> int | None:
        return _moment(self.until, "Until")


class LogQuery(TimeQuery):
    test: bool | None = Field(None, description="Test sends alone, or none of them")


def _moment(text: str | None, field: str) -> int | None:
    return None if text is None else min(max(parse_timestamp(text, field), 0), _LATEST_MS)
