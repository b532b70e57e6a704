"""Seen from outside: one wide line per event and per attempt, and the numbers behind `/metrics`."""

from ringback.observe.feed import Feed
from ringback.observe.lines import AttemptLine, EventLine, Line, attempt_line, render_human, render_json
from ringback.observe.logs import configure_logging
from ringback.observe.metrics import BATCH_BOUNDS, LATENCY_BOUNDS_MS, Histogram, Metrics
from ringback.observe.observer import Observer
from ringback.observe.wide_log import FLUSH_SECONDS, MAX_WAITING_LINES, WideLog

__all__ = [
    "BATCH_BOUNDS",
    "FLUSH_SECONDS",
    "LATENCY_BOUNDS_MS",
    "MAX_WAITING_LINES",
    "AttemptLine",
    "EventLine",
    "Feed",
    "Histogram",
    "Line",
    "Metrics",
    "Observer",
    "WideLog",
    "attempt_line",
    "configure_logging",
    "render_human",
    "render_json",
]
