"""Notes between the processes on one database: each has a socket beside it, and none waits for another.

A note can be lost where its reader is stopped or far too slow. Then the next one that gets there says so.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

LOOK_SECONDS = 10.0
RETRY_SECONDS = 0.02
MAX_WAITING_BYTES = 4 * 1024 * 1024
# What a datagram may hold is the kernel's affair, about 200 KiB; how many may wait, too: as few as ten.
DATAGRAM_BYTES = 64 * 1024
_READ_BYTES = 256 * 1024
_PATH_BYTES = 100
_HELLO, _WELCOME = "hello", "welcome"

# From which node, and what it says.
Heard = Callable[[int, bytes], None]


class Note(msgspec.Struct, frozen=True, array_like=True):
    subject: str
    body: bytes


class Datagram(msgspec.Struct, frozen=True, array_like=True):
    """`missed`: something before it was lost."""

    sender: int
    missed: bool
    notes: list[Note]


class _Outbox:
    """What is on its way to one neighbour. `met`: it was heard of."""

    __slots__ = ("bytes", "met", "missed", "notes")

    def __init__(self) -> None:
        self.met = False
        self.notes: deque[Note] = deque()
        self.bytes = 0
        self.missed = False

    def put(self, note: Note) -> None:
        if self.bytes + len(note.body) > MAX_WAITING_BYTES:
            # None of them: the next that arrives says that all before it may be missing.
            self.notes.clear()
            self.bytes = 0
            self.missed = True
        self.notes.append(note)
        self.bytes += len(note.body)

    def first(self) -> list[Note]:
        """As many as go into one datagram, one at least."""
        chosen: list[Note] = []
        size = 0
        for note in self.notes:
            size += len(note.body)
            if chosen and size > DATAGRAM_BYTES:
                break
            chosen.append(note)
        return chosen

    def drop(self, notes: list[Note]) -> None:
        for note in notes:
            self.notes.popleft()
            self.bytes -= len(note.body)


class Neighbours:
    """`met` hears of another that has come, `missed` of one that told something which did not arrive."""

    def __init__(
        self, folder: Path, node_id: int, met: Callable[[int], None], missed: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._node_id = node_id
        self._met = met
        self._missed = missed
        self._socket: socket.socket | None = None
        self._heard: dict[str, Heard] = {}
        self._outboxes: dict[int, _Outbox] = {}
        self._flushing: asyncio.TimerHandle | asyncio.Handle | None = None

    @property
    def known(self) -> list[int]:
        """The nodes that were heard of and are not known to have gone."""
        return [node_id for node_id, outbox in self._outboxes.items() if outbox.met]

    def on(self, subject: str, heard: Heard) -> None:
        self._heard[subject] = heard

    # -- life

    def open(self) -> None:
        """Raises OSError."""
        with ExitStack() as failed:
            self._place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            failed.callback(os.close, self._place)
            bound = failed.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            bound.setblocking(False)
            address = self._address(self._node_id)
            with suppress(FileNotFoundError):
                os.unlink(address)
            bound.bind(address)
            failed.pop_all()
        self._socket = bound
        asyncio.get_running_loop().add_reader(bound.fileno(), self._read, bound)

    async def run(self, each_time: Callable[[], None]) -> None:
        """Look for those that cannot have heard of this one, now and then."""
        while True:
            self._look_around()
            each_time()
            await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        if self._flushing is not None:
            self._flushing.cancel()
        with suppress(OSError):
            os.unlink(self._address(self._node_id))
        self._socket.close()
        self._socket = None
        os.close(self._place)

    def _look_around(self) -> None:
        names = [one.stem for one in self._folder.glob("*.sock")]
        for node_id in map(int, filter(str.isdigit, names)):
            if node_id != self._node_id and node_id not in self._outboxes:
                self.tell_one(node_id, _HELLO, b"")

    # -- telling

    def tell(self, subject: str, body: bytes) -> None:
        for node_id in tuple(self._outboxes):
            self.tell_one(node_id, subject, body)

    def tell_one(self, node_id: int, subject: str, body: bytes) -> None:
        self._outboxes.setdefault(node_id, _Outbox()).put(Note(subject, body))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        sent = [self._send_all(node_id, outbox) for node_id, outbox in tuple(self._outboxes.items())]
        if not all(sent):
            self._flushing = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._flush)

    def _send_all(self, node_id: int, outbox: _Outbox) -> bool:
        """False where the neighbour takes no more for now."""
        while self._socket is not None and (notes := outbox.first()):
            datagram = _encode(Datagram(self._node_id, outbox.missed, notes))
            try:
                self._socket.sendto(datagram, self._address(node_id))
            except BlockingIOError:
                return False
            except (ConnectionRefusedError, FileNotFoundError) as error:
                self._lost(node_id, in_order=isinstance(error, FileNotFoundError))
                return True
            except OSError:
                outbox.missed = True
            else:
                outbox.missed = False
            outbox.drop(notes)
        return True

    def _lost(self, node_id: int, *, in_order: bool) -> None:
        """Who left in order took its socket along; who died may have had something to tell."""
        outbox = self._outboxes.pop(node_id)
        if outbox.met and not in_order:
            self._missed(node_id)

    def _address(self, node_id: int) -> str:
        """The path of a socket has to be short; that of a file descriptor's folder is."""
        path = str(self._folder / f"{node_id}.sock")
        if len(os.fsencode(path)) <= _PATH_BYTES:
            return path
        return f"/proc/self/fd/{self._place}/{node_id}.sock"

    # -- hearing

    def _read(self, bound: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                self._take(bound.recv(_READ_BYTES))

    def _take(self, raw: bytes) -> None:
        try:
            datagram = _decode(raw)
        except msgspec.MsgspecError:
            # Of another version, or of nobody we know.
            return
        sender = datagram.sender
        outbox = self._outboxes.setdefault(sender, _Outbox())
        begins = any(note.subject == _HELLO for note in datagram.notes)
        # Who begins and was met already has lived before.
        if datagram.missed or (begins and outbox.met):
            self._missed(sender)
        if begins:
            self.tell_one(sender, _WELCOME, b"")
        if begins or not outbox.met:
            outbox.met = True
            self._met(sender)
        for note in datagram.notes:
            if note.subject in self._heard:
                self._heard[note.subject](sender, note.body)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Datagram).decode
