"""Where a call comes from, past the proxies that are trusted to say so."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from fastapi import Request

from ringback.api.context import Context

Networks = Sequence[IPv4Network | IPv6Network]
UNKNOWN = "unknown"
MAX_HOPS = 20


def client_address(request: Request, context: Context) -> str:
    peer = UNKNOWN if request.client is None else request.client.host
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    return nearest_untrusted(peer, forwarded, context.trusted_proxies)


def nearest_untrusted(peer: str, forwarded: str, trusted: Networks) -> str:
    """Each proxy adds its own client at the end of `X-Forwarded-For`: only what a trusted one says counts."""
    hops = [hop.strip() for hop in forwarded.rsplit(",", MAX_HOPS) if hop.strip()]
    found = peer
    while hops and _is_in(found, trusted) and _is_address(hops[-1]):
        found = hops.pop()
    return found


def _is_in(address: str, networks: Networks) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
