"""Whatever a receiver writes becomes one outcome, and costs nobody else theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pycurl  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.failures import FailureClass
from ringback.send import sender
from ringback.send.outcome import NO_HEAD, Ending, head_of, outcome_of
from tests.send.conftest import Client, failing_once
from tests.zoo import Zoo

C = FailureClass
EMPTY = b"Content-Length: 0\r\n\r\n"

MALFORMED: dict[str, tuple[bytes, str]] = {
    "no space before the reason": (b"HTTP/1.1 200OK\r\n" + EMPTY, "began with 'HTTP/1.1 200OK'"),
    "no space, and a flood": (b"HTTP/1.1 200OK\r\n\r\n" + b"x" * 200_000, "began with 'HTTP/1.1 200OK'"),
    "four digits": (b"HTTP/1.1 2000 OK\r\n" + EMPTY, "began with 'HTTP/1.1 2000 OK'"),
    "zeros": (b"HTTP/1.1 000 x\r\n" + EMPTY, "began with 'HTTP/1.1 000 x'"),
    "an endless reason": (b"HTTP/1.1 200" + b"\xff" * 5_000 + b"\r\n" + EMPTY, r"\xff'"),
    "an empty line first": (b"\r\n\r\nHTTP/1.1 200 OK\r\n" + EMPTY, "began with an empty line"),
    "another version": (b"HTTP/3 200 OK\r\n" + EMPTY, "not an HTTP answer"),
    "an unknown transfer encoding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n" + EMPTY,
        "an encoding that was not asked for",
    ),
}
LINES = st.lists(
    st.binary(max_size=40)
    | st.sampled_from(
        [
            b"\r\n",
            b"\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 100 Continue\r\n",
            b"HTTP/1.1\r\n",
            b"HTTP/1.1 200OK\r\n",
            b"HTTP/2 204 \r\n",
            b"X-A: b\r\n",
            b"X-A\r\n",
        ]
    ),
    max_size=12,
)
CODES = st.sampled_from([0, 1, 7, 8, 18, 23, 28, 35, 42, 52, 55, 56, 60, 61, 92, 100, 12345])


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


@pytest.mark.parametrize(("answer", "evidence"), MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_answer_is_the_receiver_s_failure(
    client: Client, zoo: Zoo, answer: bytes, evidence: str
) -> None:
    async with answering(answer) as url:
        outcome = await client.post(url)

    assert (outcome.transport, outcome.status) == (C.RESPONSE_TRUNCATED, None)
    assert evidence in (outcome.detail or "")
    assert len(outcome.detail or "") < 350
    assert client.sender.in_flight == 0
    assert (await client.post(zoo.url())).status == 200


@pytest.mark.parametrize("line", [b"HTTP/1.1 200\r\n", b"HTTP/1.1\t200 OK\r\n", b"http/1.1 200 OK\r\n"])
async def test_an_odd_status_line_is_one_all_the_same(client: Client, line: bytes) -> None:
    async with answering(line + EMPTY) as url:
        outcome = await client.post(url)

    assert (outcome.status, outcome.transport, outcome.headers) == (200, None, (("Content-Length", "0"),))


@given(lines=LINES, code=CODES, received=st.sampled_from([0, 1, 1_000_000]))
def test_any_header_lines_make_an_outcome(lines: list[bytes], code: int, received: int) -> None:
    outcome = outcome_of(
        ending_with(lines, code, received),
        started_at=1,
        ended_at=2,
        dns_ms=None,
        total_ms=1.0,
        timeout_ms=1_000,
    )

    assert outcome.status == head_of(lines).status
    assert outcome.status is None or 200 <= outcome.status <= 999
    assert (outcome.transport is None) == (outcome.detail is None)
    assert outcome.transport is not None or head_of(lines) is not NO_HEAD


async def test_an_outcome_that_cannot_be_read_costs_no_other_theirs(
    client: Client, zoo: Zoo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "outcome_of", failing_once(outcome_of))

    outcomes = await asyncio.gather(*(client.post(zoo.url()) for _ in range(5)))

    assert sorted(str(one.transport) for one in outcomes) == ["None"] * 4 + ["sender_error"]
    assert {one.detail for one in outcomes} == {None, "the answer could not be read: ValueError"}
    assert client.sender.in_flight == 0
    assert "an attempt failed on our side" in caplog.text


def ending_with(lines: list[bytes], code: int, received: int) -> Ending:
    return Ending(
        code=code,
        message="",
        errno=0,
        verify_result=0,
        header_lines=lines,
        body=b"",
        received=received,
        dialled="127.0.0.1:80",
        refused_address=None,
        fault=None,
        peer=("127.0.0.1", 80),
        http_version=pycurl.CURL_HTTP_VERSION_1_1,
        new_connections=1,
        connected_us=1,
        secured_us=0,
        secure=False,
        requested_us=1,
        answered_us=1,
    )
