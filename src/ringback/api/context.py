"""What the service hands to the API: the store, the live configuration and a few verbs of the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from ringback.keyring import KeyRing
from ringback.model import AttemptResult, Integration, Message
from ringback.observe import Feed
from ringback.people.passwords import Passwords
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Keep, Store


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    live: LiveSnapshot
    keyring: KeyRing
    # One attempt now, outside any queue; nothing is stored by it.
    attempt_test: Callable[[Integration, Message], Awaitable[AttemptResult]]
    # This integration has work that is due now (a resume, a manual retry).
    wake: Callable[[int], None]
    # Why the node takes no traffic (draining, the database cannot commit); None when it does.
    unready: Callable[[], str | None]
    # The Prometheus exposition: (content type, body).
    metrics: Callable[[], Awaitable[tuple[str, bytes]]]
    dev: bool
    version: str
    max_event_bytes: int
    # How long what is stored is kept.
    keep: Keep
    # Hears what changes here, for those who follow it live.
    feed: Feed
    # How people reach it, `https://hooks.acme.com`; None where it was not said.
    public_url: str | None = None
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    passwords: Passwords = field(default_factory=Passwords)

    @property
    def user_agent(self) -> str:
        return f"ringback/{self.version}"
