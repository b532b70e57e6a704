"""Writes wide lines from a thread of its own: the hot path only appends to a list."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import IO

from ringback.observe.lines import Line, render_human, render_json

FLUSH_SECONDS = 0.2
MAX_WAITING_LINES = 100_000
# What a pipe takes in one piece.
PIECE_BYTES = 4_096


class WideLog:
    """Writes lines from a thread; drops and counts them where the reader is slower than the service.

    `shared`: other processes write to the same stream, and no line may be torn by theirs.
    """

    def __init__(self, stream: IO[str], *, human: bool, shared: bool = False) -> None:
        self._stream = stream
        self._shared = shared
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
        text = self._render(lines)
        try:
            for piece in pieces_of(text) if self._shared else (text,):
                self._stream.write(piece)
                self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)


def pieces_of(text: str) -> Iterator[str]:
    """Whole lines, as many as a pipe takes at once; one that is longer comes alone."""
    most = PIECE_BYTES if text.isascii() else PIECE_BYTES // 4
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + most) + 1 or text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end
