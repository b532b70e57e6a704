"""`ringback keys rotate-master`: another master key in the place of the present one, while servers run.

Every step leaves a state in which all values open and from which the command goes on when it is run again:
both keys are known before one is used, and one is forgotten only when nothing needs it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from

if TYPE_CHECKING:
    from ringback.config import Settings
    from ringback.keyring import KeyRing
    from ringback.store.port import Store

PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.2


def rotate_master(
    finish: Annotated[
        bool, typer.Option("--finish", help="Forget the old key, once nothing is sealed with it.")
    ] = False,
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Seal everything anew under a new master key, while servers run.

    Interrupted, it goes on when it is run again. The old key still opens until --finish.
    """
    settings = settings_from(config, database=database, data=data)
    with nullcontext() if settings.master_key_text else _alone(settings.key_file.parent):
        asyncio.run(_finish(settings) if finish else _rotate(settings))


async def _rotate(settings: Settings) -> None:
    from ringback.cli.database import opened

    async with opened(settings) as store:
        _ensure_two_keys(settings)
        keyring = await _sealed_anew(settings, store)
    where = "RINGBACK_MASTER_KEY" if settings.master_key_text else str(settings.key_file)
    print(f"Everything is sealed with {keyring.fingerprint}.")
    print(f"The old key stays in {where} until `ringback keys rotate-master --finish`.")
    print("Copies of the database that were made before this need the old key: keep it with them.")


async def _finish(settings: Settings) -> None:
    from ringback.cli.database import opened
    from ringback.errors import ConfigurationError
    from ringback.keyring import replace_key_file

    keys = _keys(settings)
    if len(keys) == 1:
        raise ConfigurationError("there is no old master key to forget; run it without --finish first")
    async with opened(settings) as store:
        keyring = await _sealed_anew(settings, store)
    if settings.master_key_text:
        print(f"Nothing is sealed with another key than {keyring.fingerprint}.")
        print("Set RINGBACK_MASTER_KEY to its first key alone, for every server.")
        return
    replace_key_file(settings.key_file, keys[:1])
    print(f"{settings.key_file} has {keyring.fingerprint} alone.")


def _ensure_two_keys(settings: Settings) -> None:
    from ringback.errors import ConfigurationError
    from ringback.keyring import new_master_key, replace_key_file, written

    keys = _keys(settings)
    if len(keys) > 1:
        return
    new = new_master_key()
    if settings.master_key_text is None:
        replace_key_file(settings.key_file, [new, *keys])
        return
    print(f"A new master key, shown this once: {written([new])}")
    raise ConfigurationError(
        "RINGBACK_MASTER_KEY has one key: put a new one and a comma before it, for every server; "
        "start them again, and run this again with the same value"
    )


async def _sealed_anew(settings: Settings, store: Store) -> KeyRing:
    """The ring under whose first key everything is sealed now. Raises ConfigurationError."""
    from ringback.cli.database import change
    from ringback.keyring import KeyRing
    from ringback.masterkey import keys_in_use, reseal
    from ringback.match import EMPTY

    keyring = KeyRing(_keys(settings))
    await _retire_the_others(store, keyring)
    while set(keys_in_use(await store.snapshot(EMPTY))) - {keyring.key_ids[0]}:
        await reseal(store, keyring, change("master_key.reseal", store.now()))
    return keyring


async def _retire_the_others(store: Store, keyring: KeyRing) -> None:
    """Running servers look at the key file every few seconds."""
    from ringback.cli.database import change
    from ringback.errors import ConfigurationError, Conflict

    sealing, *others = keyring.key_ids
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await store.retire_keys(sealing, others, change("master_key.rotate", store.now()))
        except Conflict as error:
            if time.monotonic() >= deadline:
                raise ConfigurationError(
                    f"{error}; give it the same keys, start it again, and run this again"
                ) from None
        await asyncio.sleep(_LOOK_SECONDS)


def _keys(settings: Settings) -> list[bytes]:
    from ringback.errors import ConfigurationError
    from ringback.keyring import parse_master_keys, read_key_file

    if settings.master_key_text is not None:
        return parse_master_keys(settings.master_key_text)
    if not settings.key_file.exists():
        raise ConfigurationError(f"there is no master key at {settings.key_file}; the first start makes it")
    return read_key_file(settings.key_file)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at a time would each write a key that the other does not know."""
    from ringback.errors import ConfigurationError

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ConfigurationError("another rotation of the master key is under way") from None
    finally:
        os.close(descriptor)
