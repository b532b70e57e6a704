"""`ringback backup`: a copy of a database that somebody has open, and what it refuses."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import apsw
import pytest

from ringback.cli.main import main
from ringback.keyring import create_key_file
from ringback.store.port import Change, NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.cli.databases import DATABASE

COPY = Path("copy.db")


@pytest.fixture
def used() -> None:
    DATABASE.parent.mkdir()
    create_key_file(DATABASE.parent / "master.key")
    asyncio.run(_use("Acme"))


async def _use(name: str) -> None:
    store = await SqliteStore.open(DATABASE)
    await store.create_business(NewBusiness(name=name), Change(actor="test", action="test", at=store.now()))
    await store.close()


def names_in(path: Path) -> list[str]:
    db = apsw.Connection(str(path))
    try:
        assert db.pragma("integrity_check") == "ok"
        return [str(name) for (name,) in db.execute("SELECT name FROM businesses")]
    finally:
        db.close()


@pytest.mark.usefixtures("used")
def test_what_only_the_log_has_is_in_the_copy() -> None:
    """Somebody else has the file open and nothing of what was written is in the file itself yet."""
    other = apsw.Connection(str(DATABASE))
    other.pragma("wal_autocheckpoint", 0)
    other.execute("UPDATE businesses SET name = 'Newer'")

    assert main(["backup", str(COPY)]) == 0

    assert names_in(COPY) == ["Newer"]
    other.close()


@pytest.mark.usefixtures("used")
def test_it_says_what_was_copied_and_what_else_to_keep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", str(COPY)]) == 0

    out = capsys.readouterr().out
    assert out.startswith("copy.db: ")
    assert "THE MASTER KEY IS NOT IN IT: keep ringback-data/master.key too" in out


@pytest.mark.usefixtures("used")
def test_a_key_that_comes_from_outside_is_named_and_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGBACK_MASTER_KEY", "c2VjcmV0" * 8)

    assert main(["backup", str(COPY)]) == 0

    out = capsys.readouterr().out
    assert "keep RINGBACK_MASTER_KEY too" in out
    assert "c2VjcmV0" not in out


@pytest.mark.usefixtures("used")
def test_nobody_else_may_read_the_copy() -> None:
    main(["backup", str(COPY)])

    assert stat.S_IMODE(COPY.stat().st_mode) == 0o600
    assert sorted(path.name for path in Path().iterdir()) == ["copy.db", "ringback-data"]


@pytest.mark.usefixtures("used")
def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    COPY.write_text("precious")

    assert main(["backup", str(COPY)]) == 2

    assert "overwrites nothing" in capsys.readouterr().err
    assert COPY.read_text() == "precious"


@pytest.mark.usefixtures("used")
def test_a_place_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "nowhere/copy.db"]) == 2

    assert "nowhere: No such file or directory" in capsys.readouterr().err


@pytest.mark.usefixtures("used")
def test_a_name_that_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "n" * 300]) == 2

    assert "File name too long" in capsys.readouterr().err


def test_without_a_database_there_is_nothing_to_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", str(COPY)]) == 2

    assert "there is no database" in capsys.readouterr().err
    assert not COPY.exists()


@pytest.mark.parametrize("content", [b"not a database at all " * 100, b""])
def test_another_file_is_refused_and_left_as_it_is(
    capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    Path("other.db").write_bytes(content)

    assert main(["backup", str(COPY), "--database", "sqlite:///other.db"]) == 2

    assert "not a" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["other.db"]
    assert Path("other.db").read_bytes() == content
