"""What is to be sent, checked and written the way libcurl takes it: pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ringback.addresses import parse_url
from ringback.errors import Refused
from ringback.model import Value

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_EXPECT = "Expect:"


class Request(Value, frozen=True, kw_only=True):
    """One attempt to make: a POST. `timeout_ms` covers all of it, from the look-up to the answer's end."""

    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    timeout_ms: int


class Route(Value, frozen=True, kw_only=True):
    """Where a URL leads. `place` is `host:port`, `literal` the host where it is an address itself."""

    url: str
    host: str
    literal: str | None
    place: str


@lru_cache(maxsize=4096)
def route_of(url: str, *, plain_http: bool) -> Route:
    """Raises `Refused`."""
    endpoint = parse_url(url)
    if endpoint.scheme == "http" and not plain_http:
        raise Refused("must begin with https://")
    return Route(
        url=endpoint.url,
        host=endpoint.host,
        literal=None if endpoint.address is None else endpoint.host,
        place=f"{endpoint.bracketed_host}:{endpoint.port}",
    )


def header_lines(headers: Sequence[tuple[str, str]]) -> list[str] | list[bytes]:
    """Lines that libcurl sends as they are. Raises `Refused` where one could be read as two."""
    lines = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in headers]
    text, names = "".join(lines), [name for name, _ in headers]
    if "\r" in text or "\n" in text or "\0" in text or not all(map(_is_token, names)):
        raise Refused("a header must have a plain name and one line as its value")
    lines.append(_NO_EXPECT)
    return lines if text.isascii() else [line.encode() for line in lines]


@lru_cache(maxsize=1024)
def _is_token(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None
