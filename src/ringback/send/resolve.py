"""Host names to addresses, outside libcurl: one look-up per name at a time, none waits for another's.

The machine's hosts file comes first, search domains are never tried. Answers are kept for as long as
their records say, within bounds. c-ares keeps them too, much longer, so its channel is often replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import aiodns
import pycares

from ringback.failures import FailureClass
from ringback.model import Value

LOOKUP_SECONDS = 10.0
SERVER_SECONDS, SERVER_TRIES = 2.0, 3
RESTART_SECONDS = 0.2
KEEP_FOUND_SECONDS, KEEP_FAILED_SECONDS = (1.0, 60.0), 5.0
MAX_KEPT = 10_000
MAX_UNDER_WAY = 512

_FLAGS = pycares.ARES_FLAG_NOSEARCH | pycares.ARES_FLAG_NOALIASES | pycares.ARES_FLAG_EDNS
_NO_SUCH_NAME = frozenset(
    {aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME}
)


class Found(Value, frozen=True, kw_only=True):
    """`addresses` are in the order to try them; `expires_at` is a time of the clock."""

    addresses: tuple[str, ...]
    expires_at: float


class NotFound(Value, frozen=True, kw_only=True):
    failure: FailureClass
    detail: str
    expires_at: float


Answer = Found | NotFound


class Resolver:
    """`nameservers` are `address` or `address:port`; without them the machine's own.

    `clock` counts seconds from anywhere; the loop's own by default.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        nameservers: Sequence[str] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._loop = loop
        self._clock = clock or loop.time
        self._nameservers = nameservers
        self._kept: dict[str, Answer] = {}
        self._waiting: dict[str, list[Callable[[Answer], None]]] = {}
        self._lookups: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_UNDER_WAY)
        self._channel: aiodns.DNSResolver | None = None
        self._channel_until = 0.0

    def kept(self, host: str) -> Answer | None:
        """What is known without asking."""
        answer = self._kept.get(host)
        if answer is None or answer.expires_at > self._clock():
            return answer
        del self._kept[host]
        return None

    def look_up(self, host: str, done: Callable[[Answer], None]) -> None:
        """Calls `done` on the loop, within `LOOKUP_SECONDS` of its turn, unless closed before."""
        waiting = self._waiting.get(host)
        if waiting is not None:
            waiting.append(done)
            return
        self._waiting[host] = [done]
        lookup = self._loop.create_task(self._look_up(host))
        self._lookups.add(lookup)
        lookup.add_done_callback(self._lookups.discard)

    async def close(self) -> None:
        for lookup in self._lookups:
            lookup.cancel()
        await asyncio.gather(*self._lookups, return_exceptions=True)
        if self._channel is not None:
            await self._channel.close()

    async def _look_up(self, host: str) -> None:
        async with self._slots:
            answer = await self._ask(host)
        self._keep(host, answer)
        for done in self._waiting.pop(host):
            done(answer)

    async def _ask(self, host: str) -> Answer:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                result = await self._query(host)
        except aiodns.error.DNSError as error:
            return self._failed(host, error.args[0], error.args[1])
        except TimeoutError:
            return self._failed(host, aiodns.error.ARES_ETIMEOUT, "no answer")
        return self._found(result)

    async def _query(self, host: str) -> pycares.AddrInfoResult:
        """A name server that restarts turns everybody away for a moment: it is asked once more."""
        try:
            return await self._fresh_channel().getaddrinfo(host)
        except aiodns.error.DNSError as error:
            if error.args[0] != aiodns.error.ARES_ECONNREFUSED:
                raise
        await asyncio.sleep(RESTART_SECONDS)
        return await self._fresh_channel().getaddrinfo(host)

    def _found(self, result: pycares.AddrInfoResult) -> Found:
        shortest, longest = KEEP_FOUND_SECONDS
        seconds = min(max(min(node.ttl for node in result.nodes), shortest), longest)
        addresses = dict.fromkeys(node.addr[0].decode() for node in result.nodes)
        return Found(addresses=tuple(addresses), expires_at=self._clock() + seconds)

    def _failed(self, host: str, code: int, reason: str) -> NotFound:
        expires_at = self._clock() + KEEP_FAILED_SECONDS
        if code in _NO_SUCH_NAME:
            return NotFound(
                failure=FailureClass.DNS_NOT_FOUND,
                detail=f"{host} has no address in DNS",
                expires_at=expires_at,
            )
        return NotFound(
            failure=FailureClass.DNS_TIMEOUT,
            detail=f"{host} could not be looked up: {reason}",
            expires_at=expires_at,
        )

    def _keep(self, host: str, answer: Answer) -> None:
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[host] = answer

    def _fresh_channel(self) -> aiodns.DNSResolver:
        now = self._clock()
        if self._channel is None or now >= self._channel_until:
            self._channel = aiodns.DNSResolver(
                self._nameservers,
                self._loop,
                timeout=SERVER_SECONDS,
                tries=SERVER_TRIES,
                flags=_FLAGS,
                lookups="fb",
            )
            self._channel_until = now + KEEP_FAILED_SECONDS
        return self._channel
