"""API keys: how one is written, what is stored of it."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from ringback import ids
from ringback.model import ApiKey, Scope

PREFIX = "rbk_"
RANDOM_BYTES = 30


def new_key(randomness: bytes) -> str:
    """`rbk_` and 40 letters that need no quoting anywhere, of 30 random bytes."""
    return PREFIX + urlsafe_b64encode(randomness).decode()


def digest_of(key: bytes) -> bytes:
    """What is stored of a key. A key is random and long, so a plain hash is enough."""
    return sha256(key).digest()


def stored_key(
    key: str,
    friendly_name: str,
    scopes: Iterable[Scope],
    business_ids: Iterable[int],
    now: int,
    id_randomness: int,
) -> ApiKey:
    return ApiKey(
        key_id=ids.random_id(now, id_randomness),
        friendly_name=friendly_name,
        scopes=frozenset(scopes),
        business_ids=frozenset(business_ids),
        digest=digest_of(key.encode()),
        ends_in=key[-4:],
        created_at=now,
    )
