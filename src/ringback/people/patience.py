"""How long who guessed a password wrongly has to wait: pure, counted by account and by address.

An attempt counts as wrong from its beginning until it is proved right, so many at once gain nothing.
What is counted is forgotten an hour after the last attempt, and no wait is longer than a quarter of one:
nobody can lock an account out for good. The count of an account from anywhere is not asked where an
address has a session of that very account, so a stranger who keeps guessing does not keep its owner out.
"""

from __future__ import annotations

from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network

from ringback.model import Value

FORGOTTEN_MS = 60 * 60 * 1_000
# What many addresses and many accounts may leave behind, together.
MOST_TALLIES = 10_000
ANYONE = b""
ANYWHERE = ""
_FIRST_WAIT_MS = 1_000
_IPV6_NETWORK_BITS = 64


class Tally(Value, frozen=True, kw_only=True):
    """One thing that is counted: an account, an address, or an account from an address."""

    account: bytes
    address: str

    @property
    def free(self) -> int:
        """Wrong attempts before the first wait."""
        return 5 if self.account and self.address else 20

    @property
    def longest_ms(self) -> int:
        """An account's own wait stays short: its owner shares it with whoever guesses."""
        return 15 * 60 * 1_000 if self.address else 60 * 1_000


def tallies(email_key: str, address: str, *, known: bool) -> tuple[Tally, ...]:
    """What an attempt counts for. `known`: the account has a session from this address."""
    account, place = account_of(email_key), network_of(address)
    own = Tally(account=account, address=place)
    everywhere = Tally(account=account, address=ANYWHERE)
    everyone = Tally(account=ANYONE, address=place)
    return (own, everyone) if known else (own, everyone, everywhere)


def account_of(email_key: str) -> bytes:
    """A digest: people mistype, and what was typed into the wrong field is not kept."""
    return sha256(email_key.encode()).digest()[:16]


def network_of(address: str) -> str:
    """An IPv6 address stands for its network: one machine has as many as it likes."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((int(parsed), _IPV6_NETWORK_BITS), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def wait_ms(tally: Tally, wrong: int) -> int:
    """After so many wrong attempts in a row."""
    beyond = wrong - tally.free
    return 0 if beyond < 0 else min(_FIRST_WAIT_MS << min(beyond, 20), tally.longest_ms)
