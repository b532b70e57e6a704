"""An address that must not be dialled is refused however it is spelled, and no other parser of URLs reads
another host than ours does.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.addresses import is_public, parse_url, problem_with_url
from ringback.errors import Refused

ipv4 = st.ip_addresses(v=4) | st.sampled_from(
    ["10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "100.64.0.0/10", "0.0.0.0/8"]
).flatmap(lambda block: st.ip_addresses(v=4, network=block))
ports = st.integers(1, 65_535)
MAPPED, NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")


@st.composite
def spelled(draw: Any) -> tuple[IPv4Address, str]:
    """An address, and a way to write it that the C library takes: fewer parts, octal, hexadecimal."""
    address = draw(ipv4)
    parts = draw(st.integers(1, 4))
    front = list(address.packed[: parts - 1])
    last = int(address) & ((1 << 8 * (5 - parts)) - 1)
    styles = st.sampled_from(
        [str, hex, lambda one: f"0{one:o}", lambda one: f"0X{one:x}", lambda one: f"0x000{one:x}"]
    )
    return address, ".".join(draw(styles)(one) for one in (*front, last))


@given(spelled(), ports)
def test_a_spelling_is_the_plain_one_or_refused(found: tuple[IPv4Address, str], port: int) -> None:
    address, text = found
    assert socket.inet_aton(text) == address.packed

    problem = problem_with_url(f"https://{text}:{port}/", dev=False)

    assert (problem is None) == (text == str(address) and is_public(address, allow_loopback=False))


@given(st.text("0123456789abcdefx.", min_size=1, max_size=20))
@example("127.1")
@example("0x7f.1")
@example("017700000001")
def test_what_the_c_library_takes_for_an_address_is_no_name(text: str) -> None:
    try:
        address = IPv4Address(socket.inet_aton(text))
    except OSError:
        return
    assert problem_with_url(f"https://{text}/", dev=False) is not None or text == str(address)


@given(ipv4)
def test_an_ipv6_address_that_leads_to_an_ipv4_address_is_as_good_as_that(address: IPv4Address) -> None:
    for block in (MAPPED, NAT64):
        carrier = IPv6Address(int(block.network_address) | int(address))
        for spelling in (str(carrier), carrier.exploded, carrier.exploded.upper()):
            problem = problem_with_url(f"https://[{spelling}]/", dev=False)
            assert (problem is None) == is_public(address, allow_loopback=False)


@given(st.ip_addresses(v=6), ports)
def test_an_ipv6_address_has_one_spelling(address: IPv6Address, port: int) -> None:
    written = [str(address), address.exploded, address.exploded.upper()]

    assert {parse_url(f"https://[{one}]:{port}/").host for one in written} == {str(address)}


@given(
    st.text(st.sampled_from("abz09.-_:@[]/?%\\ \t,;Ⅷ。ⓛß"), max_size=30), st.sampled_from(["", "/", "/a?b=c"])
)
def test_other_parsers_read_the_same_host(authority: str, target: str) -> None:
    try:
        endpoint = parse_url(f"https://{authority}{target}")
    except Refused:
        return
    read, read_by_httpx = urlsplit(endpoint.url), httpx.URL(endpoint.url)

    assert (read.hostname, read.port or 443) == (endpoint.host, endpoint.port)
    assert (read_by_httpx.raw_host.decode(), read_by_httpx.port or 443) == (endpoint.host, endpoint.port)
    assert read.username is None
