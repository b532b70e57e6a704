"""The newest messages of one business, each with the id that a client resumes from."""

from __future__ import annotations

import re
from collections import deque
from itertools import islice
from typing import NamedTuple

_ID = re.compile(r"([0-9a-f]{12})-([0-9]{1,15})")


class Position(NamedTuple):
    """A message's id: the life of the ring it was in, and its number there."""

    life: str
    number: int

    def __str__(self) -> str:
        return f"{self.life}-{self.number}"


def position_of(text: str) -> Position | None:
    """None where it is no id of any stream."""
    found = _ID.fullmatch(text)
    return Position(found[1], int(found[2])) if found else None


class Ring:
    """Messages are numbered from 1 without gaps; the oldest go where there are too many or too much.

    `life` tells this ring from every other: of another business, another process, an earlier time.
    """

    def __init__(self, life: str, max_messages: int, max_bytes: int) -> None:
        self.life = life
        self.last = 0
        self.bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()

    def add(self, name: str, data: bytes) -> None:
        """`data` is one line."""
        self.last += 1
        frame = frame_of(Position(self.life, self.last), name, data)
        self._frames.append(frame)
        self.bytes += len(frame)
        while len(self._frames) > self._max_messages or self.bytes > self._max_bytes:
            self.forget_oldest()

    def forget_oldest(self) -> int:
        """How many bytes that frees."""
        freed = len(self._frames.popleft())
        self.bytes -= freed
        return freed

    def knows(self, position: Position) -> bool:
        """Whether everything after this message is still here."""
        return position.life == self.life and self.has_all_after(position.number)

    def has_all_after(self, number: int) -> bool:
        return self.last - len(self._frames) <= number <= self.last

    def after(self, number: int, max_bytes: int) -> list[bytes]:
        """The messages that follow `number`, in order: one if there is one, then up to `max_bytes`."""
        skipped = number - (self.last - len(self._frames))
        taken: list[bytes] = []
        size = 0
        for frame in islice(self._frames, skipped, None):
            size += len(frame)
            if taken and size > max_bytes:
                break
            taken.append(frame)
        return taken


def frame_of(position: Position, name: str, data: bytes) -> bytes:
    """As it goes over the wire."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(position).encode(), name.encode(), data)
