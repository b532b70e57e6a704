"""Encryption at rest: AES-256-GCM under a ring of master keys, the newest one seals.

A sealed value is one byte of format, four bytes naming the key, the nonce, then the ciphertext. What
a value belongs to is its associated data, so that a row's secret opens nowhere else.
"""

from __future__ import annotations

import os
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ringback import failpoint
from ringback.errors import ConfigurationError

KEY_BYTES = 32
_URL_SAFE = str.maketrans("-_", "+/")
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_NOT_A_KEY = "a master key (RINGBACK_MASTER_KEY, or the key file) must be 32 bytes, written as base64"
_ID_BYTES = 4
_HEADER_BYTES = 1 + _ID_BYTES


class KeyRing:
    """`keys`: 32 bytes each, the one that seals first, those that only open after it.

    `reread` gives the keys as they are by now, where they may change while the process runs. What was
    known once is not forgotten: it still opens.
    """

    def __init__(self, keys: Sequence[bytes], reread: Callable[[], Sequence[bytes]] | None = None) -> None:
        self._ciphers: dict[bytes, AESGCM] = {}
        self._reread = reread
        self._take(keys)

    @property
    def fingerprint(self) -> str:
        """Names the sealing key without giving it away."""
        return self._sealing.hex()

    @property
    def key_ids(self) -> tuple[bytes, ...]:
        """The sealing key's first."""
        return (self._sealing, *(one for one in self._ciphers if one != self._sealing))

    def refresh(self) -> None:
        """Take in what changed. Raises ConfigurationError where the keys can't be read again."""
        if self._reread is not None:
            self._take(self._reread())

    def seal(self, plain: bytes, owner: str) -> bytes:
        """`owner` names the row: `secret_owner`, `headers_owner`."""
        self._try_to_refresh()
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers[self._sealing]
        return _FORMAT + self._sealing + nonce + cipher.encrypt(nonce, plain, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        if key_id_of(sealed) not in self._ciphers:
            self._try_to_refresh()
        cipher = self._ciphers.get(key_id_of(sealed))
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

    def _take(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigurationError(_NOT_A_KEY)
        self._ciphers |= {_key_id(key): AESGCM(key) for key in keys}
        self._sealing = _key_id(keys[0])

    def _try_to_refresh(self) -> None:
        """The keys at hand go on where they can't be read again: whoever follows them hears of it."""
        with suppress(ConfigurationError):
            self.refresh()


def key_id_of(sealed: bytes) -> bytes:
    """Names the key that a value was sealed with."""
    return sealed[1:_HEADER_BYTES]


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


def new_master_key() -> bytes:
    return os.urandom(KEY_BYTES)


def written(keys: Sequence[bytes]) -> str:
    """As `parse_master_keys` reads them."""
    return ",".join(urlsafe_b64encode(key).decode() for key in keys)


def read_key_file(path: Path) -> list[bytes]:
    """Raises ConfigurationError."""
    try:
        if not _is_private(path.stat()):
            raise ConfigurationError(f"{path} can be read by others; run: chmod 600 {path}")
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    return parse_master_keys(text.strip())


def _is_private(status: os.stat_result) -> bool:
    """Its owner's alone; or root's and for nobody to write, as systemd hands over a credential."""
    if status.st_uid == 0 and not status.st_mode & 0o337:
        return True
    return not status.st_mode & 0o077


def create_key_file(path: Path) -> list[bytes]:
    """A new key in a new file (mode 0600), on disk before anything is sealed with it."""
    keys = [new_master_key()]
    _write_new(path, keys)
    _sync_directory(path.parent)
    return keys


def replace_key_file(path: Path, keys: Sequence[bytes]) -> None:
    """At one moment the file has the old keys, at the next these, whoever is killed meanwhile; its owner and
    mode stay. Raises ConfigurationError.
    """
    beside, there = path.with_name(f"{path.name}.new"), path.stat()
    beside.unlink(missing_ok=True)
    try:
        _write_new(beside, keys)
        os.chown(beside, there.st_uid, there.st_gid)
        beside.chmod(there.st_mode & 0o777)
        failpoint.reach("before_key_file")
        beside.replace(path)
        failpoint.reach("after_key_file")
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be replaced ({error.strerror}): run this as its owner"
        ) from None
    _sync_directory(path.parent)


def _write_new(path: Path, keys: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(written(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _key_id(key: bytes) -> bytes:
    return sha256(b"ringback key id" + key).digest()[:_ID_BYTES]
