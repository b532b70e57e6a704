"""A name server on a real UDP socket that answers what it is told to, or never."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

A, AAAA, SOA = 1, 28, 6
NO_ERROR, SERVER_FAILURE, NAME_ERROR = 0, 2, 3
_POINTER_TO_QUESTION = b"\xc0\x0c"


class NameServer:
    """Names that it was told nothing about get no answer at all. `asked` has what came: (name, type)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._addresses: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._errors: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def tell(self, name: str, *addresses: str, ttl: int = 60) -> None:
        self._addresses[name] = ttl, addresses
        self._errors.pop(name, None)

    def refuse(self, name: str, error: int = NAME_ERROR) -> None:
        self._errors[name] = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(4096)
            if not query:
                return
            answer = self._answer(query)
            if answer is not None:
                self._socket.sendto(answer, sender)

    def _answer(self, query: bytes) -> bytes | None:
        name, kind, end = _question(query)
        self.asked.append((name, kind))
        if name in self._errors:
            return _reply(query, end, [], self._errors[name])
        if name not in self._addresses:
            return None
        ttl, addresses = self._addresses[name]
        family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
        matching = [one for one in addresses if (":" in one) == (kind == AAAA)]
        return _reply(query, end, [_record(kind, ttl, socket.inet_pton(family, one)) for one in matching])


def _question(query: bytes) -> tuple[str, int, int]:
    """The name, the type, and where the question ends."""
    labels, position = [], 12
    while length := query[position]:
        labels.append(query[position + 1 : position + 1 + length].decode())
        position += 1 + length
    (kind,) = struct.unpack_from("!H", query, position + 1)
    return ".".join(labels).lower(), kind, position + 5


def _record(kind: int, ttl: int, data: bytes) -> bytes:
    return _POINTER_TO_QUESTION + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def _reply(query: bytes, end: int, answers: list[bytes], error: int = NO_ERROR) -> bytes:
    """Without an answer it carries the SOA that lets a resolver remember that, for an hour."""
    authority = b"" if answers else _record(SOA, 3600, b"\0\0" + struct.pack("!IIIII", 1, 1, 1, 1, 3600))
    counts = struct.pack("!HHHHH", 0x8180 | error, 1, len(answers), 0 if answers else 1, 0)
    return query[:2] + counts + query[12:end] + b"".join(answers) + authority
