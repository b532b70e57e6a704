"""A log whose reader is too slow costs lines, which are counted, and never memory without end."""

from __future__ import annotations

import io
import threading

import pytest

from ringback.observe import MAX_WAITING_LINES, EventLine, WideLog
from ringback.observe.wide_log import PIECE_BYTES, pieces_of

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


@pytest.mark.parametrize("letter", ["a", "ü", "🙂"])
def test_pieces_are_whole_lines_that_a_pipe_takes_at_once(letter: str) -> None:
    lines = [letter * length + "\n" for length in (0, 1, 400, 4_095, 4_096, 9_000, 30, 500, 500, 3_000, 2)]
    pieces = list(pieces_of("".join(lines)))
    assert "".join(pieces) == "".join(lines)
    assert all(piece.endswith("\n") for piece in pieces)
    assert all(len(piece.encode()) <= PIECE_BYTES or piece.count("\n") == 1 for piece in pieces)
    assert len(pieces) < len(lines)
    assert list(pieces_of("no end")) == ["no end"]
