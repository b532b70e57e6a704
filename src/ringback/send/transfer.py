"""One pooled libcurl handle: what is the same for every attempt is set once, the rest each time."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import certifi
import pycurl  # type: ignore[import-untyped]  # ships no types

from ringback.addresses import is_public
from ringback.send.outcome import KEPT_BODY, READ_BODY, Ending, written_address

MAX_IDLE_SECONDS = 90
MAX_CONNECTION_SECONDS = 300
_NO_DESCRIPTOR = "no file descriptor left"


class Transfer:
    """Carries one attempt at a time; `ending` says what came of it.

    What libcurl calls does not raise: it notes the fault, which ends the attempt as an error of ours.
    """

    def __init__(
        self, *, allow_loopback: bool, ca_file: Path | None, on_new_socket: Callable[[int, int], int]
    ) -> None:
        self._allow_loopback = allow_loopback
        self._on_new_socket = on_new_socket
        self._opened: socket.socket | None = None
        self._header_lines: list[bytes] = []
        self._body = bytearray()
        self._received = 0
        self._dialled: str | None = None
        self._refused_address: str | None = None
        self._fault: str | None = None
        self._target: str | None = None
        self.handle = pycurl.Curl()
        _set_constants(self.handle, ca_file)
        self.handle.setopt(pycurl.HEADERFUNCTION, self._header_lines.append)
        self.handle.setopt(pycurl.WRITEFUNCTION, self._on_body)
        self.handle.setopt(pycurl.OPENSOCKETFUNCTION, self._open_socket)
        self.handle.setopt(pycurl.SOCKOPTFUNCTION, self._on_duplicated)

    def prepare(
        self,
        url: str,
        lines: Sequence[str] | Sequence[bytes],
        body: bytes,
        pins: Sequence[str],
        timeout_ms: int,
    ) -> None:
        """`lines` are the headers, `pins` the addresses that the URL's host may be dialled at."""
        self._header_lines.clear()
        self._body.clear()
        self._received = 0
        self._dialled = self._refused_address = self._fault = None
        set_option = self.handle.setopt
        set_option(pycurl.URL, url)
        set_option(pycurl.HTTPHEADER, lines)
        set_option(pycurl.POSTFIELDS, body)
        set_option(pycurl.RESOLVE, pins)
        set_option(pycurl.TIMEOUT_MS, timeout_ms)

    def ending(self, code: int, message: str) -> Ending:
        if self._opened is not None:
            self._note_unused()
        info = self.handle.getinfo
        return Ending(
            code=code,
            message=message,
            errno=info(pycurl.OS_ERRNO) if code else 0,
            verify_result=info(pycurl.SSL_VERIFYRESULT) if code else 0,
            header_lines=self._header_lines,
            body=bytes(self._body),
            received=self._received,
            dialled=self._dialled,
            refused_address=self._refused_address,
            fault=self._fault,
            peer=(info(pycurl.PRIMARY_IP), info(pycurl.PRIMARY_PORT)),
            http_version=info(pycurl.INFO_HTTP_VERSION),
            new_connections=info(pycurl.NUM_CONNECTS),
            connected_us=info(pycurl.CONNECT_TIME_T),
            secured_us=info(pycurl.APPCONNECT_TIME_T),
            secure=info(pycurl.SCHEME).lower() == "https" if code else False,
            requested_us=info(pycurl.POSTTRANSFER_TIME_T),
            answered_us=info(pycurl.STARTTRANSFER_TIME_T),
        )

    def _on_body(self, chunk: bytes) -> int | None:
        """Anything but None ends the transfer: the answer is cut."""
        try:
            room = KEPT_BODY - len(self._body)
            if room > 0:
                self._body += chunk[:room]
            self._received += len(chunk)
        except Exception as error:  # noqa: BLE001 - as said above
            self._fault = _fault_of(error)
            return 0
        return None if self._received <= READ_BODY else 0

    def _open_socket(self, _purpose: int, target: pycurl.CurlSockAddr) -> socket.socket | int:
        """The only way out: sees the very address that is dialled, whatever any name led to."""
        try:
            return self._socket_to(target)
        except Exception as error:  # noqa: BLE001 - as said above
            if self._dialled is None:
                self._fault = _fault_of(error)
            return int(pycurl.SOCKET_BAD)

    def _socket_to(self, target: pycurl.CurlSockAddr) -> socket.socket | int:
        address, port = target.addr[:2]
        if not is_public(address, allow_loopback=self._allow_loopback):
            self._refused_address = address
            return int(pycurl.SOCKET_BAD)
        self._close_opened()
        self._opened = socket.socket(target.family, target.socktype, target.protocol)
        self._target = written_address(address, port)
        return self._opened

    def _on_duplicated(self, fd: int, purpose: int) -> int:
        """libcurl has its own descriptor of the socket now, `fd`."""
        try:
            self._close_opened()
            self._dialled, self._fault = self._target, None
            return self._on_new_socket(fd, purpose)
        except Exception as error:  # noqa: BLE001 - as said above
            self._fault = _fault_of(error)
            return int(pycurl.SOCKOPT_ERROR)

    def _note_unused(self) -> None:
        """A socket is still here where there was no descriptor left to duplicate it."""
        self._close_opened()
        if self._dialled is None:
            self._fault = _NO_DESCRIPTOR

    def _close_opened(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _fault_of(error: Exception) -> str:
    if isinstance(error, OSError):
        out_of_them = error.errno in (errno.EMFILE, errno.ENFILE)
        return _NO_DESCRIPTOR if out_of_them else f"no socket: {os.strerror(error.errno or 0)}"
    return f"unexpected {type(error).__name__}"


def _set_constants(handle: pycurl.Curl, ca_file: Path | None) -> None:
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.POST, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),
        (pycurl.NOPROXY, "*"),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
        (pycurl.PIPEWAIT, 0),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.CAINFO, str(ca_file) if ca_file else certifi.where()),
        (pycurl.MAXAGE_CONN, MAX_IDLE_SECONDS),
        (pycurl.MAXLIFETIME_CONN, MAX_CONNECTION_SECONDS),
        (pycurl.RESOLVER_START_FUNCTION, _refuse_to_resolve),
    ):
        handle.setopt(option, value)


def _refuse_to_resolve() -> int:
    """libcurl looks nothing up by itself: a host without a pin is not dialled."""
    return 1
