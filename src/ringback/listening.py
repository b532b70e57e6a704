"""The sockets that the server listens on: one, or one for each of several processes on the same port."""

from __future__ import annotations

import contextlib
import socket

from ringback.errors import CannotListen

BACKLOG = 2_048


def listen(host: str, port: int) -> socket.socket:
    """Bound before anything else is opened, so that a taken port is said at once. Raises CannotListen."""
    return _listening(host, port, together=False)


def listen_together(host: str, port: int, count: int) -> list[socket.socket]:
    """The kernel gives each new connection to one of them. Raises CannotListen.

    Any process of this user may join in such a port. So it is taken alone first: a server that has it
    already is not joined by accident.
    """
    with contextlib.closing(_listening(host, port, together=False)) as alone:
        port = alone.getsockname()[1]
    return [_listening(host, port, together=True) for _ in range(count)]


def _listening(host: str, port: int, *, together: bool) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # By the protocol asyncio knows that it may send small pieces at once (TCP_NODELAY).
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        with contextlib.ExitStack() as failed:
            failed.callback(listener.close)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if together:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            failed.pop_all()
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener
