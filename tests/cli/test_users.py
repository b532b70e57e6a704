"""`ringback users`, on a real database."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringback.cli.main import main
from ringback.people import Credentials
from ringback.people.passwords import Passwords
from ringback.store.port import AuditFilter
from tests.cli.databases import DATABASE, on

ADA = "ada@example.com"


@pytest.fixture
def database() -> Path:
    assert main(["migrate"]) == 0
    return DATABASE


Type = Callable[[str], None]


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    """What stands on the standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def known(database: Path, email: str = ADA) -> Credentials:
    found = on(database, lambda store: store.credentials(email))
    assert found is not None
    return found


def opens(database: Path, password: str, email: str = ADA) -> bool:
    stored = known(database, email).password_hash
    return asyncio.run(Passwords().matches(password, stored))


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["users", "list"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def create(*options: str, email: str = ADA, role: str = "owner") -> int:
    return main(["users", "create", "--email", email, "--role", role, *options])


def test_a_password_is_read_from_the_standard_input(database: Path, type_in: Type) -> None:
    type_in("correct horse battery\nnot this line\n")

    assert create("--password-stdin", "--name", "Ada") == 0

    assert opens(database, "correct horse battery")
    assert (known(database).user.name, known(database).user.role) == ("Ada", "owner")


def test_without_a_terminal_a_password_is_made_and_shown_once(
    database: Path, type_in: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in("")
    capsys.readouterr()

    assert create() == 0

    shown, user_id = capsys.readouterr().out.splitlines()
    assert opens(database, shown.rpartition(": ")[2])
    assert [row["Id"] for row in listed(capsys)] == [user_id]


@pytest.mark.usefixtures("database")
def test_the_list_has_what_tells_people_apart(capsys: pytest.CaptureFixture[str]) -> None:
    create("--generate")
    create("--generate", email="bob@example.com", role="viewer")

    rows = listed(capsys)

    assert {(row["Email"], row["Role"], row["Enabled"], row["LastSignInAt"]) for row in rows} == {
        (ADA, "owner", True, None),
        ("bob@example.com", "viewer", True, None),
    }


def test_a_reset_password_is_the_only_one(database: Path, type_in: Type) -> None:
    create("--generate")
    type_in("a brand new password\n")

    assert main(["users", "reset-password", "ADA@example.com", "--password-stdin"]) == 0

    assert opens(database, "a brand new password")


def test_people_are_disabled_and_enabled(database: Path) -> None:
    create("--generate")
    create("--generate", email="bob@example.com")

    assert main(["users", "disable", ADA]) == 0
    assert not known(database).user.enabled
    assert main(["users", "enable", ADA]) == 0
    assert known(database).user.enabled


def test_it_is_in_the_audit_log_who_did_it(database: Path) -> None:
    create("--generate")
    main(["users", "reset-password", ADA, "--generate"])

    log = on(database, lambda store: store.list_audit(None, AuditFilter(), 10, None)).items

    assert [(row.action, row.detail) for row in log] == [("user.update", "Password"), ("user.create", ADA)]
    assert all(row.actor.startswith("cli:") for row in log)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["disable", "nobody@example.com"], 5, "nobody here has the address"),
        (["reset-password", "nobody@example.com", "--generate"], 5, "nobody here has the address"),
        (["create", "--email", "ada", "--role", "owner"], 2, "--email: must be an email address"),
        (["create", "--email", ADA, "--role", "root"], 2, "root"),
        (["create", "--email", ADA, "--role", "owner", "--name", ""], 2, "--name: must have 1 to 100"),
        (["create", "--email", ADA, "--role", "owner", "--password-stdin"], 2, "must have 8 to 1,024"),
        (["create", "--email", ADA, "--role", "owner", "--password-stdin", "--generate"], 2, "choose one"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], code: int, reason: str, type_in: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in("short\n")

    assert main(["users", *arguments]) == code
    assert reason in capsys.readouterr().err


@pytest.mark.usefixtures("database")
def test_the_last_owner_and_a_taken_address_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    create("--generate")

    assert main(["users", "disable", ADA]) == 2
    assert "the last enabled owner" in capsys.readouterr().err
    assert create("--generate", email="ADA@EXAMPLE.COM") == 2
    assert "another user has this email address" in capsys.readouterr().err


@pytest.mark.usefixtures("database")
def test_a_password_that_was_not_set_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    create("--generate")
    capsys.readouterr()

    assert create("--generate") == 2
    assert main(["users", "reset-password", "nobody@example.com", "--generate"]) == 5
    assert capsys.readouterr().out == ""


def test_without_a_database_nothing_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", "list"]) == 2
    assert "there is no database" in capsys.readouterr().err
