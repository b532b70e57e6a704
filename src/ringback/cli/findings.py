"""What `ringback check` looks at, one subject after the other, and what it finds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ringback.cli.database import opened
from ringback.cli.options import settings_from
from ringback.config import Settings
from ringback.envelope import iso_time
from ringback.errors import ConfigurationError, StoreError
from ringback.keyring import KeyRing
from ringback.masterkey import given_keyring, keys_in_use, missing_key, one_of_each_key
from ringback.match import EMPTY, Snapshot
from ringback.store.port import EventFilter, Store

# A database written by another machine may be ahead by as much as clocks that are kept in step differ.
TOLERATED_MS = 5_000


class Finding(NamedTuple):
    subject: str
    passed: bool
    detail: str


async def examine(config_file: Path | None, **flags: object) -> list[Finding]:
    """Configuration, database, master key and clock."""
    try:
        settings = settings_from(config_file, **flags)
    except ConfigurationError as error:
        return [Finding("configuration", False, str(error))]
    first = Finding(
        "configuration",
        True,
        f"serves {settings.host}:{settings.port}, data in {settings.data}; keeps payloads for"
        f" {settings.payload_days} days, attempts for {settings.attempt_days}, what is held for"
        f" {settings.hold_days}",
    )
    if not settings.database_path.exists():
        return [first, _place_for_database(settings.database_path), _key_without_database(settings)]
    return [first, *await _with_database(settings)]


async def _with_database(settings: Settings) -> list[Finding]:
    try:
        async with opened(settings) as store:
            database = await _commit(store, settings.database_path)
            snapshot = await store.snapshot(EMPTY)
            return [database, _master_key(settings, snapshot), await _clock(store, snapshot)]
    except (ConfigurationError, StoreError) as error:
        return [Finding("database", False, str(error))]


async def _commit(store: Store, path: Path) -> Finding:
    node = await store.join(store.now())
    try:
        await store.heartbeat(node, store.now())
    finally:
        await store.leave(node)
    return Finding("database", True, f"{path} opens and commits")


def _place_for_database(path: Path) -> Finding:
    """Nothing there yet: can the first start make it?"""
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("database", True, f"none yet; the first start makes {path}")
    return Finding("database", False, f"{path} cannot be made: {there} is not a directory one may write to")


def _key_without_database(settings: Settings) -> Finding:
    try:
        keyring = _keyring(settings)
    except ConfigurationError as error:
        return Finding("master key", False, str(error))
    detail = (
        f"key {keyring.fingerprint}" if keyring else f"none yet; the first start makes {settings.key_file}"
    )
    return Finding("master key", True, detail)


def _master_key(settings: Settings, snapshot: Snapshot) -> Finding:
    in_use = keys_in_use(snapshot)
    try:
        keyring = _keyring(settings)
        if keyring is None:
            return _no_key(settings, needed=bool(in_use))
        if not in_use:
            return Finding("master key", True, f"key {keyring.fingerprint}; nothing is sealed yet")
        for one in one_of_each_key(snapshot):
            keyring.open(one.sealed, one.owner)
    except ConfigurationError as error:
        return Finding("master key", False, str(error))
    if set(in_use) == {keyring.key_ids[0]}:
        return Finding("master key", True, f"key {keyring.fingerprint} opens what is sealed")
    counts = ", ".join(f"{count} with {key_id.hex()}" for key_id, count in in_use.items())
    detail = f"key {keyring.fingerprint} seals; sealed so far: {counts}; run `ringback keys rotate-master`"
    return Finding("master key", True, detail)


def _no_key(settings: Settings, *, needed: bool) -> Finding:
    if needed:
        return Finding("master key", False, missing_key(settings.key_file))
    return Finding("master key", True, f"none yet; the next start makes {settings.key_file}")


def _keyring(settings: Settings) -> KeyRing | None:
    return given_keyring(settings.master_key_text, settings.key_file)


async def _clock(store: Store, snapshot: Snapshot) -> Finding:
    newest, now = await _newest(store, snapshot), store.now()
    if now + TOLERATED_MS < newest:
        behind = (newest - now) // 1000
        return Finding(
            "clock",
            False,
            f"{iso_time(now)} is {behind} s behind the newest row; set the clock (NTP) before starting",
        )
    return Finding("clock", True, iso_time(now))


async def _newest(store: Store, snapshot: Snapshot) -> int:
    """When the newest event was accepted or the newest setting changed; 0 in an empty database."""
    newest = max((one.updated_at for one in snapshot.integrations.values()), default=0)
    for business_id, view in snapshot.businesses.items():
        page = await store.list_events(business_id, EventFilter(), 1, None)
        newest = max(newest, view.business.created_at, *(event.accepted_at for event in page.items))
    return newest
