"""Passwords: argon2id, in threads, few at a time, and as long for an unknown person as for a known one."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ringback.errors import Unavailable

MIN_CHARACTERS = 8
MAX_CHARACTERS = 1_024
GENERATED_BYTES = 15
# Each takes its memory while it is computed.
AT_A_TIME = 2
MOST_WAITING = 50

T = TypeVar("T")


class Passwords:
    """The hasher decides what a hash costs: by default 64 MiB and three passes, as RFC 9106 advises."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=64 * 1_024, parallelism=4)
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Raises Unavailable where too many wait for theirs."""
        return await self._in_a_thread(lambda: self._hasher.hash(_composed(password)))

    async def matches(self, password: str, stored: str | None) -> bool:
        """Without a stored one it takes as long, and is false. Raises Unavailable."""
        return await self._in_a_thread(lambda: self._verify(password, stored))

    def is_dated(self, stored: str) -> bool:
        """Made at another cost than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str | None) -> bool:
        # Made for whoever comes first, known or not.
        nobodys = self._nobodys
        try:
            return self._hasher.verify(stored or nobodys, _composed(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody has this password")

    async def _in_a_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("too many people are signing in just now")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def generated(randomness: bytes) -> str:
    """A password of 20 letters, made from GENERATED_BYTES of chance."""
    return urlsafe_b64encode(randomness).decode()


def _composed(password: str) -> str:
    """Keyboards write the same letter in different ways."""
    return normalize("NFC", password)
