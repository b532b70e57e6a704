"""Which URLs are taken, and which addresses may be dialled."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ringback.addresses import is_public, parse_url, problem_with_url
from ringback.errors import Refused

ACCEPTED = {
    "https://example.com": "https://example.com/",
    "https://example.com/hooks/a?b=c&d": "https://example.com/hooks/a?b=c&d",
    "https://example.com?a=b": "https://example.com/?a=b",
    "HTTPS://EXAMPLE.com./Path": "https://example.com/Path",
    "https://example.com:443/": "https://example.com/",
    "https://example.com:8443": "https://example.com:8443/",
    "https://example.com:65535/": "https://example.com:65535/",
    "https://a_b.example.com/": "https://a_b.example.com/",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://例え。テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://8.8.8.8/": "https://8.8.8.8/",
    "https://[2606:4700:0::1111]:8443/": "https://[2606:4700::1111]:8443/",
    "https://[64:ff9b::8.8.8.8]/": "https://[64:ff9b::808:808]/",
    "https://example.com/a%20b/%2e%2e": "https://example.com/a%20b/%2e%2e",
    "https://does-not-resolve.invalid/": "https://does-not-resolve.invalid/",
}
MALFORMED = [
    "",
    "example.com",
    "https://",
    "https:///path",
    "https:/example.com",
    "//example.com",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@10.0.0.1/",
    "https://example.com/#fragment",
    "https://example.com/#",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:-1/",
    "https://example.com:/",
    "https://example.com:80:80/",
    "https://example.com:٤٤٣/",
    "https://example .com/",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com/a b",
    "https://example.com/\tpath",
    "https://example.com/\r\nHost: evil",
    "https://example.com/\0",
    "https://example.com\\@10.0.0.1/",
    "https://example.com/é",
    "https://example..com/",
    "https://.example.com/",
    "https://-example.com/",
    "https://example.com../",
    "https://exa%6dple.com/",
    "https://%31%32%37.0.0.1/",
    "https://xn--a.example/",
    "https://xn--/",
    "https://\ud800.example/",
    "https://☃.example/",
    f"https://{'a' * 64}.example/",
    f"https://{'.'.join(['a' * 60] * 5)}/",
    "https://[::1/",
    "https://[]/",
    "https://[1.2.3.4]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1]a/",
    "https://1.2.3.4.5/",
    "https://1.2.3.256/",
    "https://a.1/",
    "https://0x100000000/",
    f"https://example.com/{'a' * 2048}",
]
PRIVATE = [
    "https://10.1.2.3/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/",
    "https://168.63.129.16/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://10.0.0.1./",
    "https://0xa9fea9fe/",
    "https://2852039166/",
    "https://0251.0376.0251.0376/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://169.254.43518/",
    "https://10.1/",
    "https://１０.0.0.1/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://[::]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::10.0.0.1]/",
    "https://[2002:a00:1::]/",
    "https://[2001:0:a00:1::]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://metadata.google.internal/",
    "https://metadata/",
    "https://intranet/",
    "https://printer.local/",
    "https://db.internal./",
    "https://nas.home.arpa/",
    "https://localhost.localdomain/",
]
LOOPBACK = [
    "https://127.0.0.1/",
    "https://127.8.9.10:8443/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://ⓛocalhost/",
    "https://lo\u200bcalhost/",
]


@pytest.mark.parametrize(("url", "normal"), ACCEPTED.items())
def test_public_urls_are_taken_and_have_one_spelling(url: str, normal: str) -> None:
    assert problem_with_url(url, dev=False) is None
    assert parse_url(url).url == normal
    assert parse_url(normal) == parse_url(url)


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("dev", [False, True])
def test_malformed_urls_are_refused(url: str, dev: bool) -> None:
    assert (problem_with_url(url, dev=dev) or "").startswith("must ")


@pytest.mark.parametrize("url", PRIVATE)
@pytest.mark.parametrize("dev", [False, True])
def test_private_hosts_are_refused_in_any_spelling(url: str, dev: bool) -> None:
    assert (problem_with_url(url, dev=dev) or "").startswith("must ")


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_for_development(url: str) -> None:
    assert problem_with_url(url, dev=False) is not None
    assert problem_with_url(url, dev=True) is None


def test_plain_http_is_for_development() -> None:
    assert problem_with_url("http://example.com/", dev=False) == "must begin with https://"
    assert problem_with_url("http://example.com/", dev=True) is None


def test_the_longest_url() -> None:
    start = "https://example.com/"
    longest = start + "a" * (2048 - len(start))

    assert problem_with_url(longest, dev=False) is None
    assert problem_with_url(longest + "a", dev=False) == "must have at most 2048 characters"


def test_the_reason_never_repeats_credentials() -> None:
    problem = problem_with_url("https://user:hunter2@example.com/", dev=False)

    assert problem == "must not contain credentials"


@given(st.text(max_size=60).map("https://".__add__) | st.text(max_size=60))
@example("https://[" + "1:" * 30)
@example("https://" + "9" * 2000)
def test_any_text_is_taken_or_refused_with_a_reason(url: str) -> None:
    problem = problem_with_url(url, dev=False)

    assert problem is None or problem.startswith("must ")


@given(st.text(max_size=60).map("https://".__add__))
def test_what_is_taken_is_ascii_and_reads_the_same_again(url: str) -> None:
    try:
        endpoint = parse_url(url)
    except Refused:
        return
    assert endpoint.url.isascii()
    assert parse_url(endpoint.url) == endpoint


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["", "example.com", "1.2.3", "127.1", "fe80::1%lo", "2606:4700::1%lo"])
def test_what_is_no_plain_address_is_not_public(address: str) -> None:
    assert not is_public(address, allow_loopback=True)


@given(st.ip_addresses(v=4, network="127.0.0.0/8"))
def test_loopback_is_allowed_only_where_asked(address: IPv4Address) -> None:
    for spelling in (address, IPv6Address(f"::ffff:{address}")):
        assert is_public(spelling, allow_loopback=True)
        assert not is_public(spelling, allow_loopback=False)


@given(st.ip_addresses(v=4))
def test_no_special_ipv4_address_is_public(address: IPv4Address) -> None:
    assume(not address.is_global)

    for spelling in (address, IPv6Address(f"::ffff:{address}"), IPv6Address(int(address))):
        assert not is_public(spelling, allow_loopback=False)


@given(st.ip_addresses(v=6))
def test_no_special_ipv6_address_is_public(address: IPv6Address) -> None:
    assume(not address.is_global and not address.ipv4_mapped)

    assert not is_public(address, allow_loopback=False)
