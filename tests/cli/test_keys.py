"""`ringback keys`, on a real database."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import main
from ringback.match import EMPTY, Snapshot
from ringback.model import Scope
from ringback.store.port import Change, NewBusiness
from tests.cli.databases import DATABASE, on


@pytest.fixture
def database() -> Path:
    assert main(["migrate"]) == 0
    return DATABASE


def snapshot(database: Path) -> Snapshot:
    return on(database, lambda store: store.snapshot(EMPTY))


def created(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert main(["keys", "create", *options]) == 0
    return capsys.readouterr().out.strip()


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_key_is_printed_once_and_stored_as_its_hash(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = created(capsys, "--name", "billing", "--scope", "publish", "--scope", "read")

    stored = snapshot(database).keys[sha256(key.encode()).digest()]
    assert key.startswith("rbk_")
    assert len(key) == 44
    assert stored.scopes == {Scope.PUBLISH, Scope.READ}
    assert stored.ends_in == key[-4:]
    assert key.encode() not in database.read_bytes()


@pytest.mark.usefixtures("database")
def test_the_list_has_what_tells_keys_apart(capsys: pytest.CaptureFixture[str]) -> None:
    key = created(capsys, "--name", "billing", "--scope", "publish")

    [row] = listed(capsys)

    assert row["Id"].startswith("key_")
    assert row["EndsIn"] == key[-4:]
    assert (row["FriendlyName"], row["Scopes"], row["RestrictedBusinessIds"]) == ("billing", ["publish"], [])


def test_a_restricted_key_reaches_its_businesses_alone(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = Change(actor="test", action="business.create", at=1)
    business = on(database, lambda store: store.create_business(NewBusiness(name="Acme"), change))

    key = created(capsys, "--name", "k", "--scope", "read", "--business", str(business.business_id))

    assert snapshot(database).keys[sha256(key.encode()).digest()].business_ids == {business.business_id}


def test_a_revoked_key_is_gone(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    created(capsys, "--name", "billing", "--scope", "publish")
    [row] = listed(capsys)

    assert main(["keys", "revoke", row["Id"]]) == 0

    assert listed(capsys) == []
    assert snapshot(database).keys == {}


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["revoke", "key_0000000000001"], 5, ""),
        (["revoke", "billing"], 5, "billing is no key's id"),
        (["create", "--name", "k", "--scope", "read", "--business", "77"], 5, ""),
        (["create", "--name", "", "--scope", "read"], 2, "--name: must have 1 to 100"),
        (["create", "--name", "k", "--scope", "operator", "--business", "1"], 2, "--business: an operator"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *arguments]) == code
    assert reason in capsys.readouterr().err


def test_without_a_database_nothing_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list", "--database", "sqlite:///misspelt.db"]) == 2
    assert "there is no database at misspelt.db" in capsys.readouterr().err
    assert not Path("misspelt.db").exists()
