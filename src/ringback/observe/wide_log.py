"""Writes wide lines from a thread of its own: the hot path only appends to a list."""

from __future__ import annotations

import threading
from typing import IO

from ringback.observe.lines import Line, render_human, render_json

FLUSH_SECONDS = 0.2
MAX_WAITING_LINES = 100_000


class WideLog:
    """Writes lines from a thread; drops and counts them where the reader is slower than the service."""

    def __init__(self, stream: IO[str], *, human: bool) -> None:
        self._stream = stream
        self._render = render_human if human else render_json
        self._waiting: list[Line] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wide-log", daemon=True)
        self._thread.start()
        self.dropped = 0

    def write(self, line: Line) -> None:
        if len(self._waiting) < MAX_WAITING_LINES:
            self._waiting.append(line)
        else:
            self.dropped += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        try:
            self._stream.write(self._render(lines))
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)
