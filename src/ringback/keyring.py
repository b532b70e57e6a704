"""Encryption at rest: AES-256-GCM under a ring of master keys, the newest one seals.

A sealed value is one byte of format, four bytes naming the key, the nonce, then the ciphertext. What
a value belongs to is its associated data, so that a row's secret opens nowhere else.
"""

from __future__ import annotations

import os
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringback.errors import ConfigurationError

KEY_BYTES = 32
_URL_SAFE = str.maketrans("-_", "+/")
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_NOT_A_KEY = "a master key (RINGBACK_MASTER_KEY, or the key file) must be 32 bytes, written as base64"
_ID_BYTES = 4
_HEADER_BYTES = 1 + _ID_BYTES


class KeyRing:
    """`keys`: 32 bytes each, the one that seals first, those that only open after it."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(_NOT_A_KEY)
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._sealing = _key_id(keys[0])

    @property
    def fingerprint(self) -> str:
        """Names the sealing key without giving it away."""
        return self._sealing.hex()

    def seal(self, plain: bytes, owner: str) -> bytes:
        """`owner` names the row: `secret_owner`, `headers_owner`."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers[self._sealing]
        return _FORMAT + self._sealing + nonce + cipher.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        cipher = self._ciphers.get(sealed[1:_HEADER_BYTES])
        if cipher is None or sealed[:1] != _FORMAT:
            raise ConfigurationError(
                f"{owner} was sealed with a master key that is not in the key ring; "
                "start with the RINGBACK_MASTER_KEY (or key file) that this database was made with"
            )
        nonce = sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        try:
            return cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], owner.encode())
        except (InvalidTag, ValueError):
            raise ConfigurationError(f"{owner} cannot be opened: the stored value was changed") from None


def secret_owner(secret_id: int) -> str:
    return f"secret:{secret_id}"


def headers_owner(integration_id: int) -> str:
    return f"headers:{integration_id}"


def parse_master_keys(text: str) -> list[bytes]:
    """Comma-separated base64 keys, the sealing one first."""
    try:
        return [b64decode(part.strip().translate(_URL_SAFE), validate=True) for part in text.split(",")]
    except (Base64Error, ValueError):
        raise ConfigurationError(_NOT_A_KEY) from None


def read_key_file(path: Path) -> list[bytes]:
    """Raises ConfigurationError."""
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path} can be read by others; run: chmod 600 {path}")
    return parse_master_keys(path.read_text("ascii", errors="replace").strip())


def create_key_file(path: Path) -> list[bytes]:
    """A new key in a new file (mode 0600), on disk before anything is sealed with it."""
    key = os.urandom(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(urlsafe_b64encode(key) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(path.parent)
    return [key]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _key_id(key: bytes) -> bytes:
    return sha256(b"ringback key id" + key).digest()[:_ID_BYTES]
