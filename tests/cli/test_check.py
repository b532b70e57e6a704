"""`ringback check`: each thing that may be wrong is told apart."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from ringback.cli.main import main
from ringback.keyring import KeyRing, create_key_file
from ringback.model import Integration, IntegrationSettings, IntegrationState, Secret, SecretState
from ringback.store.port import Change, NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.cli.databases import DATABASE, KEY_FILE

OTHER_KEY = b64encode(bytes(32)).decode()


@pytest.fixture
def used() -> None:
    """A database with one sealed secret, and its key file."""
    KEY_FILE.parent.mkdir()
    asyncio.run(_use(KeyRing(create_key_file(KEY_FILE))))


async def _use(keyring: KeyRing, ahead_ms: int = 0) -> None:
    store = await SqliteStore.open(DATABASE)
    now = store.now() + ahead_ms
    change = Change(actor="test", action="test", at=now)
    business = await store.create_business(NewBusiness(name="Acme"), change)
    sealed = keyring.seal(b"a secret of theirs", "secret:2")
    integration = Integration(
        integration_id=1,
        business_id=business.business_id,
        type="webhook",
        friendly_name="CRM",
        url="https://example.com/",
        events=("*",),
        settings=IntegrationSettings(),
        sealed_headers=None,
        secrets=(
            Secret(secret_id=2, state=SecretState.CURRENT, sealed=sealed, ends_in="eirs", created_at=now),
        ),
        state=IntegrationState.ACTIVE,
        state_reason=None,
        state_since=now,
        created_at=now,
        updated_at=now,
        version=1,
    )
    await store.create_integration(integration, change)
    await store.close()


def findings(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    """The exit code, and each subject's line from its verdict on."""
    code = main(["check", *options])
    lines = capsys.readouterr().out.splitlines()
    return code, {line[6:20].strip(): f"{line[:4]} {line[21:]}" for line in lines}


def test_before_the_first_start_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(capsys)

    assert code == 0
    assert [line[:4] for line in found.values()] == ["PASS"] * 3
    assert list(Path().iterdir()) == []


@pytest.mark.usefixtures("used")
def test_a_database_in_use_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = findings(capsys)

    assert code == 0
    assert found["database"] == f"PASS {DATABASE} opens and commits"
    assert found["master key"].endswith("opens what is sealed")
    assert found["clock"].startswith("PASS")


def test_a_wrong_setting_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_PORT", "70000")

    code, found = findings(capsys)

    assert code == 1
    assert found["configuration"].startswith("FAIL RINGBACK_PORT: ")


def test_a_file_that_is_no_database_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    Path("notes.txt").write_text("not a database " * 1000)

    code, found = findings(capsys, "--database", "sqlite:///notes.txt")

    assert code == 1
    assert found["database"].startswith("FAIL")


@pytest.mark.usefixtures("used")
def test_another_master_key_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_MASTER_KEY", OTHER_KEY)

    code, found = findings(capsys)

    assert code == 1
    assert found["master key"].startswith(
        "FAIL secret:2 was sealed with a master key that is not in the key ring"
    )


@pytest.mark.usefixtures("used")
def test_a_missing_key_file_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    KEY_FILE.unlink()

    code, found = findings(capsys)

    assert code == 1
    assert found["master key"].startswith("FAIL secrets are sealed")
    assert not KEY_FILE.exists()


@pytest.mark.usefixtures("used")
def test_a_key_file_that_others_can_read_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    KEY_FILE.chmod(0o644)

    code, found = findings(capsys)

    assert code == 1
    assert "chmod 600" in found["master key"]


def test_a_clock_behind_the_newest_row_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    KEY_FILE.parent.mkdir()
    asyncio.run(_use(KeyRing(create_key_file(KEY_FILE)), ahead_ms=3_600_000))

    code, found = findings(capsys)

    assert code == 1
    assert "s behind the newest row" in found["clock"]
