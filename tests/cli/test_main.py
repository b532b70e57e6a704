"""The command line as a shell sees it: what is printed where, and the exit code."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

from ringback.cli.main import exit_of, main
from ringback.errors import (
    ConfigurationError,
    Conflict,
    InvalidApiKey,
    NotFound,
    PermissionDenied,
    RingbackError,
    StoreUnavailable,
    Unavailable,
)

COMMANDS = ("backup", "check", "demo", "keys", "migrate", "serve", "simulate", "sink", "users")
HEAVY = ("apsw", "cryptography", "fastapi", "httpx", "pycurl", "pydantic", "sqlalchemy", "uvicorn")


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ringback {version('ringback')}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if f" {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"Usage: ringback {name}" in capsys.readouterr().out


def test_help_starts_quickly_because_it_loads_nothing_heavy() -> None:
    program = (
        "import sys; from ringback.cli.main import main; main(['--help']);"
        f"print(sorted({set(HEAVY)!r} & set(sys.modules)))"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert printed.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [[], ["sreve"], ["serve", "--prot", "1"], ["serve", "--port", "http"], ["keys"], ["keys", "create"]],
    ids=" ".join,
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert "Usage" in shown.out + shown.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--processes", "0"], "--processes: Input should be greater than or equal to 1"),
        (["--role", "engine"], "--role: the role engine is not available yet"),
        (["--database", "postgresql://h/d"], "--database: PostgreSQL is not available yet"),
        (["--dev", "--host", "0.0.0.0"], "dev allows receivers on private addresses"),
        (["--config", "missing.toml"], "missing.toml cannot be read"),
    ],
)
def test_serve_refuses_what_does_not_work_by_name(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *arguments]) == 2
    error, next_step = capsys.readouterr().err.splitlines()
    assert reason in error
    assert next_step.startswith(" next: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RingbackError("x"), 1),
        (ConfigurationError("x"), 2),
        (Conflict("x"), 2),
        (InvalidApiKey("x"), 3),
        (PermissionDenied("x"), 3),
        (Unavailable("x"), 4),
        (StoreUnavailable("x"), 4),
        (NotFound("x"), 5),
        (TimeoutError("x"), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_error_has_its_exit_code_and_a_next_step(error: Exception, code: int) -> None:
    exit_code, next_step = exit_of(error)

    assert exit_code == code
    assert next_step
