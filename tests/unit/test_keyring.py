"""What is sealed opens only where it belongs."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.errors import ConfigurationError
from ringback.keyring import (
    KeyRing,
    create_key_file,
    parse_master_keys,
    read_key_file,
    replace_key_file,
)

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.binary(max_size=500), st.text(max_size=30))
def test_there_and_back(plain: bytes, owner: str) -> None:
    ring = KeyRing([OLD])

    sealed = ring.seal(plain, owner)

    assert ring.open(sealed, owner) == plain
    assert len(plain) < 8 or plain not in sealed


def test_the_same_value_never_looks_the_same() -> None:
    ring = KeyRing([OLD])

    assert ring.seal(b"secret", "secret:1") != ring.seal(b"secret", "secret:1")


def test_a_value_opens_for_its_own_row_alone() -> None:
    ring = KeyRing([OLD])

    with pytest.raises(ConfigurationError, match="secret:2 cannot be opened"):
        ring.open(ring.seal(b"secret", "secret:1"), "secret:2")


@given(st.data())
def test_a_changed_value_does_not_open(data: st.DataObject) -> None:
    ring = KeyRing([OLD])
    sealed = bytearray(ring.seal(b"secret", "secret:1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))

    with pytest.raises(ConfigurationError):
        ring.open(bytes(sealed), "secret:1")


@given(st.integers(0, 40))
def test_a_cut_value_does_not_open(length: int) -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(b"a longer secret", "secret:1")

    with pytest.raises(ConfigurationError):
        ring.open(sealed[:length], "secret:1")


def test_rotation_opens_the_old_and_seals_with_the_new() -> None:
    sealed = KeyRing([OLD]).seal(b"secret", "secret:1")
    ring = KeyRing([NEW, OLD])

    assert ring.open(sealed, "secret:1") == b"secret"
    assert KeyRing([NEW]).open(ring.seal(b"secret", "secret:1"), "secret:1") == b"secret"
    assert ring.fingerprint == KeyRing([NEW]).fingerprint != KeyRing([OLD]).fingerprint


def test_a_missing_key_is_said_so() -> None:
    sealed = KeyRing([OLD]).seal(b"secret", "secret:1")

    with pytest.raises(ConfigurationError, match="not in the key ring"):
        KeyRing([NEW]).open(sealed, "secret:1")


@pytest.mark.parametrize("keys", [[], [b"short"], [OLD, b"x" * 33]])
def test_keys_of_another_size_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        KeyRing(keys)


def test_keys_are_read_in_either_base64() -> None:
    key = b"\xfb\xef\xff" * 10 + b"ab"

    assert parse_master_keys(f"{b64encode(key).decode()}, {urlsafe_b64encode(key).decode()}") == [key, key]


@pytest.mark.parametrize("text", ["é", "a", "abcde"])
def test_keys_that_are_no_base64(text: str) -> None:
    with pytest.raises(ConfigurationError):
        KeyRing(parse_master_keys(text))


def test_a_key_file_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    first = create_key_file(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key_file(path) == first
    assert len(first[0]) == 32


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    create_key_file(path)
    path.chmod(0o640)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_key_file(path)


def test_a_read_only_file_of_roots_is_a_credential_and_anybody_elses_is_not(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    keys = create_key_file(path)
    path.chmod(0o440)
    if path.stat().st_uid == 0:
        assert read_key_file(path) == keys
    else:
        with pytest.raises(ConfigurationError, match="chmod 600"):
            read_key_file(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x80" * 40, b"too short"])
def test_a_broken_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(ConfigurationError):
        KeyRing(read_key_file(path))


def test_the_ring_shows_nothing_of_its_keys() -> None:
    ring = KeyRing([OLD])

    assert OLD.decode() not in repr(ring) + repr(vars(ring))
    assert OLD.hex() not in ring.fingerprint


# ---------------------------------------------------------------- keys that change under a running process


def test_a_value_under_a_newer_key_opens_once_the_keys_are_read_again() -> None:
    keys = [OLD]
    ring = KeyRing(keys, lambda: keys)
    sealed = KeyRing([NEW]).seal(b"secret", "secret:1")
    keys.insert(0, NEW)

    assert ring.open(sealed, "secret:1") == b"secret"
    assert ring.key_ids == KeyRing([NEW, OLD]).key_ids


def test_what_is_sealed_is_sealed_with_the_newest_key() -> None:
    keys = [OLD]
    ring = KeyRing(keys, lambda: keys)
    keys.insert(0, NEW)

    assert KeyRing([NEW]).open(ring.seal(b"secret", "secret:1"), "secret:1") == b"secret"


def test_a_key_that_was_known_still_opens_when_it_is_no_longer_given() -> None:
    keys = [OLD]
    ring = KeyRing(keys, lambda: keys)
    sealed = ring.seal(b"secret", "secret:1")
    keys[:] = [NEW]
    ring.refresh()

    assert ring.open(sealed, "secret:1") == b"secret"
    assert ring.fingerprint == KeyRing([NEW]).fingerprint


def test_keys_that_cannot_be_read_again_go_on_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    ring = KeyRing(create_key_file(path), lambda: read_key_file(path))
    path.unlink()

    assert ring.open(ring.seal(b"secret", "secret:1"), "secret:1") == b"secret"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ring.refresh()


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_replaced_file_has_the_new_keys_and_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    create_key_file(path)
    path.chmod(mode)
    (tmp_path / "master.key.new").write_text("half of what somebody wrote when")

    replace_key_file(path, [NEW, OLD])

    assert read_key_file(path) == [NEW, OLD]
    assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]
