"""The certificate that a receiver shows, looked at once more after libcurl refused it.

libcurl says that a certificate is refused, not which one it was. So its evidence comes from a second
handshake, at the same address and under the same rule of addresses, which trusts nobody and sends nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

import msgspec

from ringback.addresses import is_public
from ringback.failures import NOT_YET_VALID, SELF_SIGNED, FailureClass
from ringback.model import Outcome, Value
from ringback.words import date, duration, joined

LOOK_SECONDS = 2.0
KEEP_SECONDS = 300.0
MAX_KEPT = 1_000
MAX_UNDER_WAY = 16
SHOWN_BY = frozenset({FailureClass.TLS_EXPIRED, FailureClass.TLS_UNTRUSTED, FailureClass.TLS_NAME_MISMATCH})


class Certificate(Value, frozen=True, kw_only=True):
    """What people need of one. Names and issuer are the receiver's words, made printable.

    `names` are the first few, and how many more there are as the last.
    """

    names: tuple[str, ...]
    issuer: str | None
    self_signed: bool
    valid_from: int
    valid_until: int


class Place(Value, frozen=True, kw_only=True):
    """Where a certificate was refused, and how."""

    host: str
    address: str
    port: int
    failure: FailureClass


def place_of(host: str, remote_address: str, failure: FailureClass) -> Place:
    """`remote_address` is `address:port`, as an outcome has it."""
    address, _, port = remote_address.rpartition(":")
    return Place(host=host, address=address.strip("[]"), port=int(port), failure=failure)


class Seen(Value, frozen=True, kw_only=True):
    certificate: Certificate | None
    until: float


Shown = Callable[[Certificate | None], None]


class Looks:
    """One look at a place at a time, remembered for some minutes, whatever came of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, allow_loopback: bool) -> None:
        self._loop = loop
        self._allow_loopback = allow_loopback
        self._kept: dict[Place, Seen] = {}
        self._waiting: dict[Place, list[Shown]] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self._closed = False

    def show(self, place: Place, seconds: float, shown: Shown) -> None:
        """Calls `shown` on the loop, once: at once, or within `LOOK_SECONDS` where it takes a look.

        A look takes no more of an attempt's `seconds` than there are, but may be shared with another's.
        """
        seen = self._kept.get(place)
        if seen is not None and seen.until > self._loop.time():
            shown(seen.certificate)
        elif (waiting := self._waiting.get(place)) is not None:
            waiting.append(shown)
        elif not self._may_look(place, seconds):
            shown(None)
        else:
            self._start(place, min(seconds, LOOK_SECONDS), shown)

    async def close(self) -> None:
        """Who still waits is told that there is nothing to show."""
        self._closed = True
        for look in tuple(self._looks):
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        for place in tuple(self._waiting):  # Of looks that had not begun.
            self._tell(place, None)

    def _may_look(self, place: Place, seconds: float) -> bool:
        has_room = not self._closed and len(self._looks) < MAX_UNDER_WAY
        return has_room and seconds > 0 and is_public(place.address, allow_loopback=self._allow_loopback)

    def _start(self, place: Place, seconds: float, shown: Shown) -> None:
        self._waiting[place] = [shown]
        look = self._loop.create_task(self._look(place, seconds))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)

    async def _look(self, place: Place, seconds: float) -> None:
        certificate = None
        try:
            async with asyncio.timeout(seconds):
                certificate = await asyncio.to_thread(_read, await shown_at(place))
        except (OSError, ValueError):
            pass  # A look that fails says nothing: the refusal stands as it was.
        finally:
            self._keep(place, certificate)
            self._tell(place, certificate)

    def _tell(self, place: Place, certificate: Certificate | None) -> None:
        for shown in self._waiting.pop(place):
            shown(certificate)

    def _keep(self, place: Place, certificate: Certificate | None) -> None:
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[place] = Seen(certificate=certificate, until=self._loop.time() + KEEP_SECONDS)


class _Shows(Protocol):
    def getpeercert(self, binary_form: bool, /) -> bytes | None: ...


async def shown_at(place: Place) -> bytes:
    """The receiver's certificate, as DER. Raises OSError, also for TLS; ValueError where it shows none."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        asyncio.Protocol, place.address, place.port, ssl=_trusting_nobody(), server_hostname=place.host
    )
    try:
        handshake: _Shows = transport.get_extra_info("ssl_object")
        shown = handshake.getpeercert(True)
    finally:
        transport.abort()
    if shown is None:
        raise ValueError("no certificate was shown")
    return shown


def _trusting_nobody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _read(der: bytes) -> Certificate:
    """In a thread, with its import: neither is small, and few nodes ever need it."""
    from ringback.send.x509 import certificate_of

    return certificate_of(der)


# ---------------------------------------------------------------- in words


def with_evidence(outcome: Outcome, place: Place, shown: Certificate | None) -> Outcome:
    """The outcome with what the refused certificate says of itself, where it was seen."""
    if shown is None:
        return outcome
    return msgspec.structs.replace(outcome, detail=_detail(outcome, place, shown))


def _detail(outcome: Outcome, place: Place, shown: Certificate) -> str:
    whose = f"the certificate of {place.host}"
    match place.failure:
        case FailureClass.TLS_EXPIRED:
            return _expiry(whose, shown, outcome.ended_at)
        case FailureClass.TLS_NAME_MISMATCH:
            names = joined(shown.names) or "no name at all"
            return f"{whose} is for {names}, not for {place.host}"
    if shown.valid_from > outcome.ended_at:
        return f"{whose} {NOT_YET_VALID} {date(shown.valid_from)}"
    if shown.self_signed:
        return f"{whose} {SELF_SIGNED}"
    by = f"“{shown.issuer}”" if shown.issuer else "an authority without a name"
    return f"{whose} was issued by {by}: {outcome.detail}"


def _expiry(whose: str, shown: Certificate, now: int) -> str:
    if shown.valid_until > now:
        return f"{whose} is valid until {date(shown.valid_until)}, but one that vouches for it has expired"
    before = duration(now - shown.valid_until)
    return f"{whose} expired on {date(shown.valid_until)} ({before} before this attempt)"
