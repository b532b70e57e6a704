"""Where a webhook may go: the rules for URLs when they are saved, for addresses when they are dialled.

One parser serves both. `Endpoint.url` is the one spelling that was checked, and the only one that is
handed to libcurl: nothing is left for a second parser to read differently.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from ringback.errors import Refused
from ringback.model import Value

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253
DEFAULT_PORTS = {"https": 443, "http": 80}

Address = IPv4Address | IPv6Address

# IANA's special-purpose registry, and the one public address that is a cloud's own (Azure's wire server).
_SPECIAL_IPV4 = (
    *map(IPv4Network, ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")),
    *map(IPv4Network, ("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24")),
    *map(IPv4Network, ("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24")),
    *map(IPv4Network, ("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32")),
)
_UNICAST_IPV6 = IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4.
_SPECIAL_IPV6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_DOMAINS = ("localhost", "localdomain", "local", "internal", "home.arpa")
_LOOPBACK_DOMAIN = "localhost"

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?]*)(?P<target>.*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_REFUSED_CHARACTERS = re.compile(r"[\x00-\x20\x7f\\]")


class Endpoint(Value, frozen=True, kw_only=True):
    """A URL in its one spelling. `host`: an ASCII name, or an address without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def address(self) -> Address | None:
        """The literal address it names; None for a name, which needs a look-up."""
        return _literal(self.host)

    @property
    def bracketed_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.bracketed_host}{port}{self.target}"


def problem_with_url(url: str, *, dev: bool) -> str | None:
    """Why a URL is refused, to follow a field's name (`must …`); None where it is fine."""
    try:
        endpoint = parse_url(url)
    except Refused as refusal:
        return str(refusal)
    if endpoint.scheme == "http" and not dev:
        return "must begin with https://"
    return _problem_with_host(endpoint, dev=dev)


@lru_cache(maxsize=4096)
def parse_url(url: str) -> Endpoint:
    """Raises `Refused` with the reason. Whether its host may be reached is not asked here."""
    if len(url) > MAX_URL_LENGTH:
        raise Refused(f"must have at most {MAX_URL_LENGTH} characters")
    if _REFUSED_CHARACTERS.search(url):
        raise Refused("must not contain spaces, control characters or backslashes")
    if "#" in url:
        raise Refused("must not contain a fragment (#)")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise Refused("must begin with https:// and a host")
    return _endpoint(parts["scheme"].lower(), parts["authority"], parts["target"])


def is_public(address: str | Address, *, allow_loopback: bool) -> bool:
    """Whether a connection to this very address may be opened. Text that is no address never is."""
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            return False
    if isinstance(address, IPv6Address):
        return _is_public_ipv6(address, allow_loopback=allow_loopback)
    return _is_public_ipv4(address, allow_loopback=allow_loopback)


def _is_public_ipv4(address: IPv4Address, *, allow_loopback: bool) -> bool:
    if address.is_loopback:
        return allow_loopback
    return not any(address in block for block in _SPECIAL_IPV4)


def _is_public_ipv6(address: IPv6Address, *, allow_loopback: bool) -> bool:
    if address.scope_id is not None:
        return False
    carried = _carried_ipv4(address)
    if carried is not None:
        return _is_public_ipv4(carried, allow_loopback=allow_loopback)
    if address.is_loopback:
        return allow_loopback
    return address in _UNICAST_IPV6 and not any(address in block for block in _SPECIAL_IPV6)


def _carried_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to a mapped or NAT64 address ends at."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


def _endpoint(scheme: str, authority: str, target: str) -> Endpoint:
    if scheme not in DEFAULT_PORTS:
        raise Refused("must begin with https://")
    if "@" in authority:
        raise Refused("must not contain credentials")
    if not target.isascii():
        raise Refused("must percent-encode characters outside ASCII in path and query")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise Refused("must have a valid host")
    host = _ipv6_host(parts["ipv6"]) if parts["ipv6"] is not None else _named_host(parts["name"])
    port = DEFAULT_PORTS[scheme] if parts["port"] is None else _port(parts["port"])
    return Endpoint(
        scheme=scheme, host=host, port=port, target=target if target.startswith("/") else f"/{target}"
    )


def _port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not 0 < int(text) < 65536:
        raise Refused("must have a port from 1 to 65535")
    return int(text)


def _ipv6_host(text: str) -> str:
    if "%" in text:
        raise Refused("must not contain an IPv6 zone")
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise Refused("must have a valid IPv6 address in the brackets") from None


def _named_host(text: str) -> str:
    """A name as DNS asks for it, or an IPv4 address as four decimal numbers."""
    name = _ascii_name(text).lower().removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > MAX_HOST_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise Refused("must have a valid host name")
    return _ipv4_host(labels) if _NUMBER.fullmatch(labels[-1]) else name


def _ascii_name(text: str) -> str:
    if text.isascii() and "xn--" not in text.lower():
        return text
    import idna

    try:
        ascii_name = idna.encode(text, uts46=True).decode()
        idna.decode(ascii_name)
    except (idna.IDNAError, UnicodeError):
        raise Refused("must have a valid international host name") from None
    return ascii_name


def _ipv4_host(labels: list[str]) -> str:
    """What ends in a number is an IPv4 address to everybody, but not the same one: one spelling only."""
    host = ".".join(labels)
    address = _ipv4_of(labels)
    if address is None:
        raise Refused("must have a valid IPv4 address, or a name that does not end in a number")
    if str(address) != host:
        raise Refused(f"must have its IPv4 address written as {address}")
    return host


def _ipv4_of(labels: list[str]) -> IPv4Address | None:
    """Read as the C library does: octal, hexadecimal, and a last number that fills what is left."""
    if len(labels) > 4 or not all(map(_NUMBER.fullmatch, labels)):
        return None
    try:
        *front, last = (_c_number(label) for label in labels)
    except ValueError:
        return None
    room = 8 * (4 - len(front))
    if last >= 1 << room or any(number > 255 for number in front):
        return None
    return IPv4Address(int.from_bytes(bytes(front), "big") << room | last)


def _c_number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if label.startswith("0") else 10)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _problem_with_host(endpoint: Endpoint, *, dev: bool) -> str | None:
    address = endpoint.address
    if address is not None:
        public = is_public(address, allow_loopback=dev)
        return None if public else "must not lead to a private, loopback or reserved address"
    if dev and _within(endpoint.host, _LOOPBACK_DOMAIN):
        return None
    if any(_within(endpoint.host, domain) for domain in _LOCAL_DOMAINS):
        return "must not name a host of a private network"
    return None if "." in endpoint.host else "must have a full domain name"


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
