"""Charts over a month of counts, asked over HTTP from a server that has nothing else to do."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection

from tests.bench.charts import ATTEMPTS, INTEGRATIONS, MINUTE_DAYS, Month, month
from tests.bench.children import BenchError
from tests.bench.figures import Figure, Section, figure
from tests.bench.server import API_KEY, serving
from tests.bench.setting import Setting

WARM_UP, ROUNDS = 2, 15
GOAL_MS = 100.0
# Held deliveries, for each business that is charted.
WAITING = 50_000


def statistics(setting: Setting) -> list[Section]:
    folder, businesses = setting.folder / "statistics", setting.amounts.charted_businesses
    (folder / "data").mkdir(parents=True)
    waiting = businesses * WAITING
    made = month(folder / "data" / "ringback.db", businesses, waiting)
    with serving(setting, folder) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        figures = [_figure(connection, *question) for question in _questions(made)]
        connection.close()
    return [
        Section(
            name="statistics",
            title=f"Statistics over {businesses * ATTEMPTS:,} attempts in 30 days",
            figures=figures,
            notes=[
                f"{businesses} businesses of {INTEGRATIONS} integrations and nine event types, counted "
                f"in every hour, and by the minute for the last {MINUTE_DAYS} days. Time of a GET on one "
                "kept-alive connection, pages in the cache.",
                "The counts were written straight to their tables; the events, deliveries and attempts that "
                "they stand for are not there. Charts never look at them.",
                f"The last two count held deliveries one by one in an index: {waiting:,} of them.",
            ],
        )
    ]


def _questions(made: Month) -> list[tuple[str, str, float | None]]:
    """Name, path and goal."""
    business = made.lanes[0][0]
    return [
        ("24 hours", _stats(business), GOAL_MS),
        ("24 hours by 5 minutes", _stats(business, {"days": 1}, "5m"), GOAL_MS),
        ("2,000 minutes", _stats(business, {"minutes": 1_998}, "1m"), None),
        ("7 days", _stats(business, {"days": 7}), GOAL_MS),
        ("30 days", _stats(business, {"days": 30}), GOAL_MS),
        ("30 days by the hour", _stats(business, {"days": 30}, "1h"), GOAL_MS),
        ("30 days of an event type", _stats(business, {"days": 30}, "1h", "call.completed"), GOAL_MS),
        ("24 hours, and many held", _stats(made.lanes[-1][0]), None),
        ("the system, and many held", "/api/v1/system", None),
    ]


def _stats(
    business: int,
    back: dict[str, int] | None = None,
    bucket: str | None = None,
    event_type: str | None = None,
) -> str:
    wanted = {
        "Since": None if back is None else f"{datetime.now(UTC) - timedelta(**back):%Y-%m-%dT%H:%M:%SZ}",
        "Bucket": bucket,
        "EventType": event_type,
    }
    query = "&".join(f"{name}={value}" for name, value in wanted.items() if value is not None)
    return f"/api/v1/business/{business}/stats?{query}"


def _figure(connection: HTTPConnection, name: str, path: str, goal: float | None) -> Figure:
    for _ in range(WARM_UP):
        _get(connection, path)
    return figure(name, "ms", [_get(connection, path) for _ in range(ROUNDS)], goal)


def _get(connection: HTTPConnection, path: str) -> float:
    """How many ms it took. Raises BenchError."""
    begin = time.perf_counter()
    connection.request("GET", path, headers={"Authorization": f"Token {API_KEY}"})
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - begin) * 1_000
    if answer.status != 200 or not json.loads(body)["Success"]:
        raise BenchError(f"GET {path} was answered {answer.status}: {body[:500]!r}")
    return took
