"""The parameters that several lists and the statistics share, and what they stand for."""

from __future__ import annotations

from pydantic import Field

from ringback import ids
from ringback.api.paging import PageQuery
from ringback.errors import FieldError, InvalidRequest
from ringback.payloads import parse_timestamp

EXAMPLE_TIME = "2026-11-23T12:00:00Z"
# 2200-01-01. No row is younger, and times far beyond it have no row id.
_LATEST_MS = 7_258_118_400_000


class TimeQuery(PageQuery):
    since: str | None = Field(None, description="CreatedAt at or after, RFC 3339", examples=[EXAMPLE_TIME])
    until: str | None = Field(None, description="CreatedAt before, RFC 3339", examples=[EXAMPLE_TIME])

    def since_ms(self) -> int | None:
        """Raises InvalidRequest where the range ends before it begins."""
        since, until = moment_of(self.since, "Since"), self.until_ms()
        if since is not None and until is not None and until < since:
            raise InvalidRequest(FieldError("Since", "must not be after Until"))
        return since

    def until_ms(self) -> int | None:
        return moment_of(self.until, "Until")


class LogQuery(TimeQuery):
    test: bool | None = Field(None, description="Test sends alone, or none of them")


def integration_of(public_id: str | None) -> int | None:
    """The row id of the integration to filter by. Raises InvalidRequest."""
    if public_id is None:
        return None
    row_id = ids.internal(ids.INTEGRATION, public_id)
    if row_id is None:
        raise InvalidRequest(FieldError("IntegrationId", "is not the id of an integration"))
    return row_id


def moment_of(text: str | None, field: str) -> int | None:
    return None if text is None else min(max(parse_timestamp(text, field), 0), _LATEST_MS)
