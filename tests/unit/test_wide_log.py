"""A log whose reader is too slow costs lines, which are counted, and never memory without end."""

from __future__ import annotations

import io
import threading

from ringback.observe import MAX_WAITING_LINES, EventLine, WideLog

LINE = EventLine("2026-11-23T12:00:00.000Z", "info", "event", "evt_1", "call.failed", 1, 2, 3, 0.5)
PATIENCE = 20


class Stuck(io.StringIO):
    """Takes its first text only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go_on.wait(PATIENCE)
        return super().write(text)


def test_lines_beyond_what_may_wait_are_dropped_and_counted() -> None:
    stream = Stuck()
    log = WideLog(stream, human=False)
    log.write(LINE)
    assert stream.reached.wait(PATIENCE)

    for _ in range(MAX_WAITING_LINES + 7):
        log.write(LINE)
    stream.go_on.set()
    log.close()

    assert log.dropped == 7
    assert stream.getvalue().count("\n") == 1 + MAX_WAITING_LINES
