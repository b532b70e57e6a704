"""`ringback migrate`, on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from ringback.cli.main import main


def test_it_makes_the_database_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--data", "here"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert main(["migrate", "--data", "here"]) == 0
    second = capsys.readouterr().out.splitlines()

    assert first[0].startswith("applied 0001")
    assert first[-1] == "here/ringback.db is up to date"
    assert second == ["here/ringback.db is up to date"]


def test_a_file_of_something_else_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    notes = Path("notes.txt")
    notes.write_text("my notes " * 1000)

    assert main(["migrate", "--database", "sqlite:///notes.txt"]) == 2

    assert "notes.txt is not a SQLite database" in capsys.readouterr().err
    assert notes.read_text() == "my notes " * 1000
