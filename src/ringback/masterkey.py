"""The master keys at hand: proven to open what the database has sealed before anything relies on them,
followed while they change, and put in the place of older ones.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ringback import failpoint
from ringback.errors import ConfigurationError, RingbackError, StoreUnavailable
from ringback.keyring import (
    KeyRing,
    create_key_file,
    headers_owner,
    key_id_of,
    parse_master_keys,
    read_key_file,
    secret_owner,
)
from ringback.match import EMPTY, Snapshot
from ringback.model import Node
from ringback.store.port import Change, Resealed, Sealed, Store

RESEALED_AT_ONCE = 100


def given_keyring(master_key: str | None, key_file: Path) -> KeyRing | None:
    """From the setting, else from the file; None where there is neither. Raises ConfigurationError."""
    if master_key is not None:
        return KeyRing(parse_master_keys(master_key))
    if not key_file.exists():
        return None
    return KeyRing(read_key_file(key_file), lambda: read_key_file(key_file))


def proven_keyring(master_key: str | None, key_file: Path, snapshot: Snapshot) -> KeyRing:
    """Makes a key file only where nothing is sealed yet. Raises ConfigurationError for a wrong key."""
    keyring = given_keyring(master_key, key_file)
    sealed = next(sealed_values(snapshot), None)
    if keyring is None:
        if sealed is not None:
            raise ConfigurationError(missing_key(key_file))
        keyring = KeyRing(create_key_file(key_file), lambda: read_key_file(key_file))
    for one in one_of_each_key(snapshot):
        keyring.open(one.sealed, one.owner)
    return keyring


class SealedValue(NamedTuple):
    kind: Sealed
    row_id: int
    sealed: bytes

    @property
    def owner(self) -> str:
        return secret_owner(self.row_id) if self.kind is Sealed.SECRET else headers_owner(self.row_id)


def sealed_values(snapshot: Snapshot) -> Iterator[SealedValue]:
    """All there are."""
    for integration in snapshot.integrations.values():
        for secret in integration.secrets:
            yield SealedValue(Sealed.SECRET, secret.secret_id, secret.sealed)
        if integration.sealed_headers is not None:
            yield SealedValue(Sealed.HEADERS, integration.integration_id, integration.sealed_headers)


def one_of_each_key(snapshot: Snapshot) -> list[SealedValue]:
    """For every master key in use, one value that it sealed."""
    return list({key_id_of(one.sealed): one for one in sealed_values(snapshot)}.values())


def keys_in_use(snapshot: Snapshot) -> Counter[bytes]:
    """How many values each master key sealed, by its id."""
    return Counter(key_id_of(one.sealed) for one in sealed_values(snapshot))


def missing_key(key_file: Path) -> str:
    return (
        f"secrets are sealed, but neither RINGBACK_MASTER_KEY nor {key_file} is there; "
        "bring back the key this database was made with"
    )


async def follow_keys(
    keyring: KeyRing,
    store: Store,
    node: Node,
    every_seconds: float,
    on_error: Callable[[RingbackError], None],
) -> None:
    """Take in another key file's keys as they come, and tell the database which ones this node has."""
    announced = keyring.key_ids
    while True:
        await asyncio.sleep(every_seconds)
        try:
            keyring.refresh()
            if keyring.key_ids != announced:
                await store.announce_keys(node, keyring.key_ids)
                announced = keyring.key_ids
        except (ConfigurationError, StoreUnavailable) as error:
            on_error(error)


async def reseal(store: Store, keyring: KeyRing, change: Change) -> int:
    """Seal anew, step by step, whatever another key than the ring's first has sealed; how many values that
    were. Raises ConfigurationError where one can't be opened.
    """
    snapshot = await store.snapshot(EMPTY)
    old = [one for one in sealed_values(snapshot) if key_id_of(one.sealed) != keyring.key_ids[0]]
    resealed = 0
    for start in range(0, len(old), RESEALED_AT_ONCE):
        step = [_resealed(one, keyring) for one in old[start : start + RESEALED_AT_ONCE]]
        failpoint.reach("before_reseal")
        resealed += await store.reseal(step, change)
        failpoint.reach("after_reseal")
    return resealed


def _resealed(one: SealedValue, keyring: KeyRing) -> Resealed:
    plain = keyring.open(one.sealed, one.owner)
    return Resealed(kind=one.kind, row_id=one.row_id, before=one.sealed, after=keyring.seal(plain, one.owner))
