"""What libcurl tells of a finished transfer, in the product's words: pure.

Evidence is written for the receiver's owner: addresses, times and counts, nothing of what was sent.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

import pycurl  # type: ignore[import-untyped]  # ships no types

from ringback.failures import FailureClass
from ringback.model import Outcome, Timings, Value

READ_BODY = 64 * 1024
KEPT_BODY = 16 * 1024
MAX_HEADERS = 64 * 1024
FINAL_STATUS = 200
QUOTED = 60

# libcurl's codes that pycurl has no names for.
_HTTP2_STREAM, _TOO_LARGE = 92, 100

_C = FailureClass
_BY_CODE: dict[int, FailureClass] = {
    pycurl.E_PARTIAL_FILE: _C.RESPONSE_TRUNCATED,
    pycurl.E_UNSUPPORTED_PROTOCOL: _C.RESPONSE_TRUNCATED,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: _C.RESPONSE_TRUNCATED,
    pycurl.E_BAD_CONTENT_ENCODING: _C.RESPONSE_TRUNCATED,
    pycurl.E_SSL_CIPHER: _C.TLS_PROTOCOL,
    pycurl.E_SSL_ISSUER_ERROR: _C.TLS_UNTRUSTED,
    pycurl.E_SSL_INVALIDCERTSTATUS: _C.TLS_UNTRUSTED,
}
_CUT_CODES = frozenset(
    {
        pycurl.E_GOT_NOTHING,
        pycurl.E_SEND_ERROR,
        pycurl.E_RECV_ERROR,
        pycurl.E_HTTP2,
        _HTTP2_STREAM,
        pycurl.E_WRITE_ERROR,
    }
)
_EMPTY_LINES = frozenset({b"\r\n", b"\n"})
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+([1-9]\d\d)(?:\s|$)", re.IGNORECASE)
# OpenSSL's results; 0 and 1 are what is left when libcurl itself compares the names.
_X509_EXPIRED, _X509_NAME_MISMATCHES = 10, frozenset({0, 1, 62, 64})
_HTTP_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "2",
}


class Ending(Value, frozen=True, kw_only=True):
    """A finished transfer. Times are libcurl's: microseconds from its start, 0 where not reached.

    `received` counts the body's bytes, `body` has the first of them. `dialled` is the last address that
    a connection was opened to, `refused_address` one that it was not, because it is not public. `fault`
    says what failed on our side.
    """

    code: int
    message: str
    errno: int
    verify_result: int
    header_lines: Sequence[bytes]
    body: bytes
    received: int
    dialled: str | None
    refused_address: str | None
    fault: str | None
    peer: tuple[str, int]
    http_version: int
    new_connections: int
    connected_us: int
    secured_us: int
    secure: bool
    requested_us: int
    answered_us: int

    @property
    def cut_by_us(self) -> bool:
        return self.received > READ_BODY


class Head(Value, frozen=True, kw_only=True):
    """The final answer's status and headers, where all of them came."""

    status: int | None
    headers: tuple[tuple[str, str], ...]


NO_HEAD = Head(status=None, headers=())


def outcome_of(
    ending: Ending, *, started_at: int, ended_at: int, dns_ms: float | None, total_ms: float, timeout_ms: int
) -> Outcome:
    head = head_of(ending.header_lines)
    failure = _failure(ending, head)
    address, port = ending.peer
    return Outcome(
        started_at=started_at,
        ended_at=ended_at,
        timings=_timings(ending, dns_ms, total_ms),
        transport=failure,
        detail=None if failure is None else _detail(failure, ending, head, timeout_ms),
        status=head.status,
        headers=head.headers,
        body=ending.body,
        truncated=ending.received > len(ending.body),
        remote_address=written_address(address, port) if address else ending.dialled,
        http_version=_HTTP_VERSIONS.get(ending.http_version),
    )


def written_address(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def head_of(lines: Sequence[bytes]) -> Head:
    """Interim answers come before the final one, trailers after its empty line: neither counts."""
    start = _start_of_block(lines, 0)
    while (end := _end_of_block(lines, start)) < len(lines):
        status = _status(lines[start])
        if status is None:
            return NO_HEAD
        if status >= FINAL_STATUS:
            return Head(status=status, headers=_fields(lines[start + 1 : end]))
        start = _start_of_block(lines, end + 1)
    return NO_HEAD


def _start_of_block(lines: Sequence[bytes], start: int) -> int:
    while start < len(lines) and lines[start] in _EMPTY_LINES:
        start += 1
    return start


def _end_of_block(lines: Sequence[bytes], start: int) -> int:
    """The index of the block's empty line; the number of lines where it did not come."""
    for index in range(start, len(lines)):
        if lines[index] in _EMPTY_LINES:
            return index
    return len(lines)


def _status(line: bytes) -> int | None:
    """Of `HTTP/1.1 200 OK`; libcurl lets much through that is no such line."""
    found = _STATUS_LINE.match(line)
    return int(found[1]) if found else None


def _fields(lines: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    fields = [line.decode("latin-1").partition(":") for line in lines]
    return tuple([(name, value.strip()) for name, colon, value in fields if colon])


def _timings(ending: Ending, dns_ms: float | None, total_ms: float) -> Timings:
    """The first byte's time counts from when the request was sent, on TLS too."""
    new, connected, secured = ending.new_connections, ending.connected_us, ending.secured_us
    return Timings(
        dns_ms=dns_ms,
        connect_ms=connected / 1000 if new and connected else None,
        tls_ms=(secured - connected) / 1000 if new and secured else None,
        first_byte_ms=max(ending.answered_us - ending.requested_us, 0) / 1000
        if ending.header_lines
        else None,
        total_ms=round(total_ms, 3),
    )


def _failure(ending: Ending, head: Head) -> FailureClass | None:
    if ending.code == _TOO_LARGE or sum(map(len, ending.header_lines)) > MAX_HEADERS:
        return FailureClass.TOO_LARGE
    if ending.code == pycurl.E_OK or ending.cut_by_us:
        return FailureClass.RESPONSE_TRUNCATED if head is NO_HEAD else None
    return _failure_of_code(ending)


def _failure_of_code(ending: Ending) -> FailureClass:
    code = ending.code
    if ending.fault is not None:
        return FailureClass.SENDER_ERROR
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return FailureClass.RESPONSE_TIMEOUT if _was_connected(ending) else FailureClass.CONNECT_TIMEOUT
    if code == pycurl.E_COULDNT_CONNECT:
        return _failure_to_connect(ending)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _failure_of_certificate(ending.verify_result)
    if code == pycurl.E_SSL_CONNECT_ERROR:
        reset = ending.errno in (errno.ECONNRESET, errno.EPIPE)
        return FailureClass.CONNECTION_RESET if reset else FailureClass.TLS_PROTOCOL
    if code in _CUT_CODES:
        return FailureClass.RESPONSE_TRUNCATED if ending.header_lines else FailureClass.CONNECTION_RESET
    return _BY_CODE.get(code, FailureClass.SENDER_ERROR)


def _was_connected(ending: Ending) -> bool:
    reused = ending.new_connections == 0 and ending.dialled is None and bool(ending.peer[0])
    return reused or ending.connected_us > 0


def _failure_to_connect(ending: Ending) -> FailureClass:
    if ending.dialled is None and ending.refused_address is not None:
        return FailureClass.BLOCKED_PRIVATE_ADDRESS
    if ending.errno == errno.ETIMEDOUT:
        return FailureClass.CONNECT_TIMEOUT
    if ending.errno == errno.ECONNRESET:
        return FailureClass.CONNECTION_RESET
    return FailureClass.CONNECT_REFUSED


def _failure_of_certificate(verify_result: int) -> FailureClass:
    if verify_result == _X509_EXPIRED:
        return FailureClass.TLS_EXPIRED
    if verify_result in _X509_NAME_MISMATCHES:
        return FailureClass.TLS_NAME_MISMATCH
    return FailureClass.TLS_UNTRUSTED


def _detail(failure: FailureClass, ending: Ending, head: Head, timeout_ms: int) -> str:
    within = f"within {timeout_ms / 1000:.1f} s"
    match failure:
        case FailureClass.BLOCKED_PRIVATE_ADDRESS:
            return f"{ending.refused_address} is not a public address"
        case FailureClass.CONNECT_TIMEOUT:
            return f"no connection to {ending.dialled or 'the receiver'} {within}"
        case FailureClass.CONNECT_REFUSED:
            return f"{_reason(ending) or 'no connection'} ({ending.dialled or 'no address'})"
        case FailureClass.RESPONSE_TIMEOUT:
            return f"no complete answer {within}: {_progress(ending, head)}"
        case FailureClass.CONNECTION_RESET:
            return f"the connection was cut before an answer: {_reason(ending) or 'closed by the receiver'}"
        case FailureClass.RESPONSE_TRUNCATED:
            return _truncation(ending, head)
        case FailureClass.TOO_LARGE:
            return f"the answer's headers are over {MAX_HEADERS // 1024} KiB"
        case FailureClass.SENDER_ERROR:
            return ending.fault or f"libcurl stopped with error {ending.code}"
    return _tls_complaint(ending)


def _tls_complaint(ending: Ending) -> str:
    """`certificate has expired` of libcurl's `SSL certificate OpenSSL verify result: … (10)`."""
    complaint = ending.message.rpartition(": ")[2].removesuffix(f" ({ending.verify_result})")
    return complaint.rpartition("::")[2] or "no reason given"


def _reason(ending: Ending) -> str | None:
    return os.strerror(ending.errno) if ending.errno else None


def _truncation(ending: Ending, head: Head) -> str:
    if ending.code == pycurl.E_BAD_CONTENT_ENCODING:
        return "the answer is in an encoding that was not asked for"
    if not ending.header_lines:
        return "what came back is not an HTTP answer"
    if head is NO_HEAD:
        return _headless(ending.header_lines)
    return f"it answered {head.status}, but the answer ended after {ending.received} bytes of its body"


def _headless(lines: Sequence[bytes]) -> str:
    """Quotes the first line that is where a status line should be."""
    start = _start_of_block(lines, 0)
    if start == len(lines):
        return "what came back is not an HTTP answer: it began with an empty line"
    if _status(lines[start]) is None:
        began = lines[start].decode("latin-1").strip()[:QUOTED]
        return f"what came back is not an HTTP answer: it began with {began!a}"
    return "the answer ended within its headers"


def _progress(ending: Ending, head: Head) -> str:
    timings = _timings(ending, None, 0.0)
    steps = ["on a kept-alive connection" if not ending.new_connections else ""]
    if timings.connect_ms is not None:
        steps = [f"connected in {timings.connect_ms:.0f} ms"]
    if ending.secure and ending.new_connections and timings.tls_ms is None:
        steps.append("TLS not agreed on")
    elif head is not NO_HEAD:
        steps.append(f"status {head.status} and {ending.received} bytes of the body received")
    elif ending.header_lines:
        steps.append("the headers not yet complete")
    else:
        steps.append("no byte received")
    return ", ".join(filter(None, steps))
