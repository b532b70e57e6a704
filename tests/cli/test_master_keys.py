"""`ringback keys rotate-master`: a new key in the place of the old, and everything opens meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from ringback.cli import master_keys
from ringback.cli.main import main
from ringback.errors import ConfigurationError, Conflict
from ringback.keyring import KeyRing, create_key_file, headers_owner, key_id_of, read_key_file, secret_owner
from ringback.masterkey import RESEALED_AT_ONCE, SealedValue, keys_in_use, sealed_values
from ringback.match import EMPTY
from ringback.model import Integration, Node, Secret, SecretState
from ringback.store.port import NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, change, integration
from tests.cli.databases import DATABASE, KEY_FILE, on

OLD_KEY, NEW_KEY = bytes(range(32)), bytes(range(32, 64))
INTEGRATIONS, SECRETS_EACH = 3, 70
VALUES = INTEGRATIONS * (SECRETS_EACH + 1)


@pytest.fixture(autouse=True)
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(master_keys, "PATIENCE_SECONDS", 0.0)


@pytest.fixture
def old() -> KeyRing:
    """Of a database with many sealed values, and its key file."""
    KEY_FILE.parent.mkdir()
    keyring = KeyRing(create_key_file(KEY_FILE))
    on(DATABASE, lambda store: _fill(store, keyring))
    return keyring


@pytest.fixture
def in_environment(monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """The same with the key in the environment."""
    KEY_FILE.parent.mkdir()
    monkeypatch.setenv("RINGBACK_MASTER_KEY", written(OLD_KEY))
    keyring = KeyRing([OLD_KEY])
    on(DATABASE, lambda store: _fill(store, keyring))
    return keyring


def written(*keys: bytes) -> str:
    return ",".join(b64encode(key).decode() for key in keys)


async def _fill(store: SqliteStore, keyring: KeyRing) -> None:
    business = await store.create_business(NewBusiness(name="Acme"), change())
    for number in range(INTEGRATIONS):
        await store.create_integration(_made(business.business_id, number, keyring), change())


def _made(business_id: int, number: int, keyring: KeyRing) -> Integration:
    """With more secrets than an integration ever has, so that few of them are many values."""
    bare = integration(business_id, number, secrets=())
    first = 1_000 * (number + 1)
    secrets = [_secret(first + place, keyring) for place in range(SECRETS_EACH)]
    headers = keyring.seal(b'[["X-Team","voice"]]', headers_owner(bare.integration_id))
    return integration(business_id, number, secrets=tuple(secrets), sealed_headers=headers)


def _secret(secret_id: int, keyring: KeyRing) -> Secret:
    sealed = keyring.seal(f"secret {secret_id}".encode(), secret_owner(secret_id))
    return Secret(
        secret_id=secret_id, state=SecretState.CURRENT, sealed=sealed, ends_in="x9Qz", created_at=NOON
    )


def in_use() -> Counter[bytes]:
    return keys_in_use(on(DATABASE, lambda store: store.snapshot(EMPTY)))


def opened(keyring: KeyRing) -> set[bytes]:
    values = sealed_values(on(DATABASE, lambda store: store.snapshot(EMPTY)))
    return {keyring.open(one.sealed, one.owner) for one in values}


CONTENT = {
    f"secret {1_000 * (n + 1) + p}".encode() for n in range(INTEGRATIONS) for p in range(SECRETS_EACH)
} | {b'[["X-Team","voice"]]'}


# ---------------------------------------------------------------- with a key file


def test_everything_is_sealed_anew_and_the_old_key_stays(
    old: KeyRing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate-master"]) == 0

    keys = read_key_file(KEY_FILE)
    ring = KeyRing(keys)
    assert len(keys) == 2
    assert ring.key_ids[1] == old.key_ids[0]
    assert in_use() == {ring.key_ids[0]: VALUES}
    assert opened(KeyRing(keys[:1])) == CONTENT
    assert KEY_FILE.stat().st_mode & 0o777 == 0o600
    assert not [one for one in KEY_FILE.parent.iterdir() if one.name.startswith("master.key.")]
    printed = capsys.readouterr().out
    assert ring.fingerprint in printed
    assert all(written(key) not in printed for key in keys)


@pytest.mark.usefixtures("old")
def test_run_again_it_changes_nothing() -> None:
    assert main(["keys", "rotate-master"]) == 0
    keys, values = KEY_FILE.read_text(), in_use()

    assert main(["keys", "rotate-master"]) == 0

    assert (KEY_FILE.read_text(), in_use()) == (keys, values)


@pytest.mark.usefixtures("old")
def test_the_old_key_is_forgotten_when_it_is_said() -> None:
    assert main(["keys", "rotate-master"]) == 0
    new = read_key_file(KEY_FILE)[0]

    assert main(["keys", "rotate-master", "--finish"]) == 0

    assert read_key_file(KEY_FILE) == [new]
    assert opened(KeyRing([new])) == CONTENT
    assert main(["keys", "rotate-master"]) == 0
    assert len(read_key_file(KEY_FILE)) == 2


def test_there_is_nothing_to_forget_before_a_rotation(
    old: KeyRing, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "rotate-master", "--finish"]) == 2
    assert "no old master key" in capsys.readouterr().err
    assert opened(old) == CONTENT


STEPS = -(-VALUES // RESEALED_AT_ONCE)
assert STEPS > 2
PLACES = [
    "before_key_file:1",
    "after_key_file:1",
    "before_reseal:1",
    "after_reseal:1",
    f"before_reseal:{STEPS}",
    f"after_reseal:{STEPS}",
]


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_everything_opens_and_it_goes_on(place: str) -> None:
    assert killed_at(place, "keys", "rotate-master")

    assert opened(KeyRing(read_key_file(KEY_FILE))) == CONTENT
    assert main(["check"]) == 0
    assert main(["keys", "rotate-master"]) == 0

    keys = read_key_file(KEY_FILE)
    assert len(keys) == 2
    assert in_use() == {KeyRing(keys).key_ids[0]: VALUES}
    assert opened(KeyRing(keys[:1])) == CONTENT


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize("place", ["before_key_file:1", "after_key_file:1"])
def test_killed_while_it_forgets_it_opens_all_the_same(place: str) -> None:
    assert main(["keys", "rotate-master"]) == 0

    assert killed_at(place, "keys", "rotate-master", "--finish")

    assert opened(KeyRing(read_key_file(KEY_FILE))) == CONTENT


def killed_at(place: str, *arguments: str) -> bool:
    environment = {**os.environ, "RINGBACK_FAILPOINT": f"{place}:kill"}
    ended = subprocess.run(
        [sys.executable, "-m", "ringback", *arguments], env=environment, capture_output=True, check=False
    )
    return ended.returncode == -9


@pytest.mark.usefixtures("old")
def test_two_at_a_time_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    with master_keys._alone(KEY_FILE.parent):
        assert main(["keys", "rotate-master"]) == 2

    assert "under way" in capsys.readouterr().err
    assert len(read_key_file(KEY_FILE)) == 1


# ---------------------------------------------------------------- beside servers


@contextmanager
def a_server(*keys: bytes) -> Iterator[Node]:
    """A living node that says it has these keys, the one it seals with first."""

    async def join(store: SqliteStore) -> Node:
        node = await store.join(store.now())
        await store.announce_keys(node, KeyRing(keys).key_ids)
        return node

    loop = asyncio.new_event_loop()
    store = loop.run_until_complete(SqliteStore.open(DATABASE))
    try:
        yield loop.run_until_complete(join(store))
    finally:
        loop.run_until_complete(store.close())
        loop.close()


def test_nothing_is_sealed_with_a_key_that_a_running_server_lacks(
    old: KeyRing, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = read_key_file(KEY_FILE)
    with a_server(key):
        assert main(["keys", "rotate-master"]) == 2

        assert "node 1" in capsys.readouterr().err
        assert in_use() == {old.key_ids[0]: VALUES}

    assert main(["keys", "rotate-master"]) == 0


@pytest.mark.usefixtures("old")
def test_a_dead_server_is_not_waited_for() -> None:
    (key,) = read_key_file(KEY_FILE)
    with a_server(key):
        pass

    assert main(["keys", "rotate-master"]) == 0


def test_a_retired_key_seals_nothing_and_serves_nobody(old: KeyRing) -> None:
    assert main(["keys", "rotate-master"]) == 0

    async def write(store: SqliteStore) -> None:
        with pytest.raises(Conflict):
            await store.create_integration(_made(1, 77, old), change())
        read = (await store.list_integrations(1, 1, None)).items[0]
        with pytest.raises(Conflict):
            await store.save_integration(_made_like(read, old), change())
        with pytest.raises(ConfigurationError, match="retired"):
            await store.announce_keys(await store.join(NOON), old.key_ids)

    on(DATABASE, write)


def _made_like(read: Integration, keyring: KeyRing) -> Integration:
    return msgspec.structs.replace(read, secrets=(_secret(9, keyring),))


@pytest.mark.usefixtures("old")
def test_what_was_read_before_is_not_written_back_under_the_old_key() -> None:
    before = on(DATABASE, lambda store: store.list_integrations(1, 9, None)).items[0]
    assert main(["keys", "rotate-master"]) == 0

    async def write_back(store: SqliteStore) -> None:
        with pytest.raises(Conflict):
            await store.save_integration(before, change())

    on(DATABASE, write_back)
    assert len(in_use()) == 1


# ---------------------------------------------------------------- with a key in the environment


def test_one_key_in_the_environment_is_told_what_to_set(
    in_environment: KeyRing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["keys", "rotate-master"]) == 2

    told = capsys.readouterr()
    assert "RINGBACK_MASTER_KEY" in told.err
    new = told.out.strip().rpartition(" ")[2]
    assert new not in told.err
    assert in_use() == {in_environment.key_ids[0]: VALUES}
    monkeypatch.setenv("RINGBACK_MASTER_KEY", f"{new},{written(OLD_KEY)}")
    assert main(["keys", "rotate-master"]) == 0
    monkeypatch.setenv("RINGBACK_MASTER_KEY", new)
    assert main(["check"]) == 0


def test_two_keys_in_the_environment_are_a_rotation(
    in_environment: KeyRing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_MASTER_KEY", written(NEW_KEY, OLD_KEY))
    capsys.readouterr()
    assert main(["check"]) == 0
    assert f"{VALUES} with {in_environment.fingerprint}" in capsys.readouterr().out

    assert main(["keys", "rotate-master"]) == 0
    assert main(["keys", "rotate-master", "--finish"]) == 0

    assert "RINGBACK_MASTER_KEY" in capsys.readouterr().out
    assert opened(KeyRing([NEW_KEY])) == CONTENT
    assert not KEY_FILE.exists()


@pytest.mark.usefixtures("in_environment")
def test_a_rotation_can_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for keys in ([NEW_KEY, OLD_KEY], [OLD_KEY, NEW_KEY]):
        monkeypatch.setenv("RINGBACK_MASTER_KEY", written(*keys))
        assert main(["keys", "rotate-master"]) == 0
        assert in_use() == {KeyRing(keys).key_ids[0]: VALUES}


def test_a_value_that_no_key_opens_is_named_and_the_others_stay_readable(
    in_environment: KeyRing, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_MASTER_KEY", written(NEW_KEY, bytes(32)))

    assert main(["keys", "rotate-master"]) == 2

    assert "sealed with a master key that is not in the key ring" in capsys.readouterr().err
    assert {key_id_of(one.sealed) for one in stored()} == {in_environment.key_ids[0]}


def stored() -> list[SealedValue]:
    return list(sealed_values(on(DATABASE, lambda store: store.snapshot(EMPTY))))
