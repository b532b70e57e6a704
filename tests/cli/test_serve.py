"""`ringback serve` that cannot start: said in a sentence, before anything is made."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path


def serve(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ringback", "serve", *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_a_taken_port_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = serve(tmp_path, "--port", str(taken.getsockname()[1]))

    assert ended.returncode == 2
    assert "cannot listen on 127.0.0.1:" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes " * 1000)

    ended = serve(tmp_path, "--port", "0", "--database", "sqlite:///notes.txt")

    assert ended.returncode == 2
    assert "error: notes.txt is not a SQLite database\n next: " in ended.stderr
    assert notes.read_text() == "my notes " * 1000
