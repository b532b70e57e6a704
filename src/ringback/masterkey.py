"""The master key at hand, proven to open what the database has sealed before anything relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ringback.errors import ConfigurationError
from ringback.keyring import (
    KeyRing,
    create_key_file,
    headers_owner,
    parse_master_keys,
    read_key_file,
    secret_owner,
)
from ringback.match import Snapshot


def given_keyring(master_key: str | None, key_file: Path) -> KeyRing | None:
    """From the setting, else from the file; None where there is neither. Raises ConfigurationError."""
    if master_key is not None:
        return KeyRing(parse_master_keys(master_key))
    return KeyRing(read_key_file(key_file)) if key_file.exists() else None


def proven_keyring(master_key: str | None, key_file: Path, snapshot: Snapshot) -> KeyRing:
    """Makes a key file only where nothing is sealed yet. Raises ConfigurationError for a wrong key."""
    keyring = given_keyring(master_key, key_file)
    sealed = next(sealed_values(snapshot), None)
    if keyring is None:
        if sealed is not None:
            raise ConfigurationError(missing_key(key_file))
        keyring = KeyRing(create_key_file(key_file))
    elif sealed is not None:
        keyring.open(*sealed)
    return keyring


def sealed_values(snapshot: Snapshot) -> Iterator[tuple[bytes, str]]:
    """Each sealed value and what it belongs to."""
    for integration in snapshot.integrations.values():
        for secret in integration.secrets:
            yield secret.sealed, secret_owner(secret.secret_id)
        if integration.sealed_headers is not None:
            yield integration.sealed_headers, headers_owner(integration.integration_id)


def missing_key(key_file: Path) -> str:
    return (
        f"secrets are sealed, but neither RINGBACK_MASTER_KEY nor {key_file} is there; "
        "bring back the key this database was made with"
    )
