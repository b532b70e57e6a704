"""What an answer becomes: status, headers, body, whatever shape it comes in."""

from __future__ import annotations

import pytest

from ringback.failures import FailureClass
from tests.send.conftest import Client
from tests.zoo import Zoo

KEPT, READ = 16 * 1024, 64 * 1024
STATUSES = [200, 201, 204, 301, 307, 400, 401, 403, 404, 405, 409, 410, 413, 415, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", STATUSES)
async def test_every_status_is_an_answer(client: Client, zoo: Zoo, status: int) -> None:
    outcome = await client.post(zoo.url(f"status/{status}"))

    assert (outcome.status, outcome.transport, outcome.detail) == (status, None, None)


async def test_the_answer_is_kept_as_it_came(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("ok?Retry-After=7&X-Twice=a&X-Twice=b"))

    assert outcome.headers == (
        ("Content-Length", "2"),
        ("Content-Type", "text/plain"),
        ("Retry-After", "7"),
        ("X-Twice", "a"),
        ("X-Twice", "b"),
    )
    assert outcome.body == b"ok"
    assert outcome.remote_address == f"127.0.0.1:{zoo.port}"
    assert outcome.http_version == "1.1"


async def test_a_redirect_is_not_followed(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url(f"status/302?Location={zoo.url('ok')}"))

    assert outcome.status == 302
    assert [one.path.partition("?")[0] for one in zoo.received] == ["/status/302"]


@pytest.mark.parametrize("size", [0, 1, KEPT])
async def test_a_body_up_to_16_kib_is_kept_whole(client: Client, zoo: Zoo, size: int) -> None:
    outcome = await client.post(zoo.url(f"body/{size}"))

    assert (outcome.body, outcome.truncated) == (b"b" * size, False)


@pytest.mark.parametrize("size", [KEPT + 1, READ, READ + 1, 10 * READ])
async def test_of_a_larger_body_the_first_16_kib_are_kept(client: Client, zoo: Zoo, size: int) -> None:
    outcome = await client.post(zoo.url(f"body/{size}"))

    assert (outcome.body, outcome.truncated) == (b"b" * KEPT, True)
    assert (outcome.status, outcome.transport) == (200, None)


@pytest.mark.parametrize("path", ["flood", "flood-chunked"])
async def test_a_flood_is_cut_and_judged_by_its_status(client: Client, zoo: Zoo, path: str) -> None:
    outcome = await client.post(zoo.url(path))

    assert (outcome.status, outcome.transport, outcome.truncated) == (200, None, True)
    assert len(outcome.body) == KEPT


async def test_interim_answers_do_not_count(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("interim"))

    assert outcome.status == 200
    assert outcome.headers == (("Content-Length", "2"), ("X-Final", "yes"))


async def test_trailers_change_nothing(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("trailers"))

    assert (outcome.status, outcome.transport, outcome.body) == (200, None, b"ok")
    assert outcome.headers == (("Transfer-Encoding", "chunked"), ("X-Final", "yes"))


async def test_what_comes_after_the_promised_length_is_not_read(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("too-long"))

    assert (outcome.status, outcome.transport, outcome.body) == (200, None, b"ok")
    assert (await client.post(zoo.url())).status == 200


async def test_headers_over_64_kib_are_too_large(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("huge-headers"))

    assert outcome.transport is FailureClass.TOO_LARGE
    assert outcome.detail == "the answer's headers are over 64 KiB"


async def test_endless_headers_end(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("endless-headers"))

    assert outcome.transport is FailureClass.TOO_LARGE


async def test_endless_interim_answers_end(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("endless-interim"))

    assert outcome.transport is FailureClass.TOO_LARGE


async def test_header_bytes_outside_ascii_are_decoded_byte_by_byte(client: Client, zoo: Zoo) -> None:
    outcome = await client.post(zoo.url("odd-headers"))

    assert outcome.headers[-1] == ("X-Odd", "\xff\xe9")
    assert outcome.status == 200
