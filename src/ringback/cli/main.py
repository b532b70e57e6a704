"""The `ringback` command: its sub-commands, and what each error means to a shell.

Start-up counts: the modules imported here are light, each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from ringback.cli.backup import backup
from ringback.cli.check import check
from ringback.cli.demo import demo
from ringback.cli.keys import keys
from ringback.cli.migrate import migrate
from ringback.cli.serve import serve
from ringback.cli.simulate import simulate
from ringback.cli.sink import sink
from ringback.cli.users import users
from ringback.errors import (
    CannotListen,
    ConfigurationError,
    InvalidApiKey,
    NotFound,
    PermissionDenied,
    Refused,
    RingbackError,
    StoreError,
    Unavailable,
)

# The first that fits: exit code, and what to do next.
_EXITS: tuple[tuple[type[Exception], int, str], ...] = (
    (CannotListen, 2, "see who listens there: `ss -ltnp`; or choose another with --host and --port"),
    (ConfigurationError, 2, "correct it and run `ringback check`"),
    (InvalidApiKey, 3, "make a key where the server runs: `ringback keys create`"),
    (PermissionDenied, 3, "see what the key may do where the server runs: `ringback keys list`"),
    (NotFound, 5, "check the id"),
    (Refused, 2, "correct the request and run it again"),
    (Unavailable, 4, "see that the server runs: `ringback serve`"),
    (StoreError, 4, "run `ringback check`"),
    (TimeoutError, 6, "run it again, or see that the server runs: `ringback serve`"),
    (RingbackError, 1, "run `ringback check`"),
)
EXIT_CODES = frozenset({0, 1, 130} | {code for _, code, _ in _EXITS})

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(serve)
app.add_typer(keys, name="keys")
app.add_typer(users, name="users")
for command in (migrate, check, backup, demo, simulate, sink):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"ringback {version('ringback')}")
        raise typer.Exit


@app.callback()
def ringback(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Signed webhooks, delivered at least once: nothing accepted is ever lost."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code: 0 ok, 1 failed, 2 usage, 3 not authorised, 4 no connection,
    5 not found, 6 timed out, 130 interrupted.
    """
    return code_of(lambda: app(arguments, prog_name="ringback"))


def code_of(work: Callable[[], int | None]) -> int:
    """The exit code that this ends with; an error is said on the standard error stream."""
    try:
        return work() or 0
    except (RingbackError, TimeoutError) as error:
        code, next_step = exit_of(error)
        print(f"error: {error}\n next: {next_step}", file=sys.stderr)
        return code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def exit_of(error: Exception) -> tuple[int, str]:
    """The exit code of an error, and what to do next."""
    return next((code, step) for kind, code, step in _EXITS if isinstance(error, kind))
