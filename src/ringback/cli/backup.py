"""`ringback backup`: a consistent copy of the database, beside a running server too."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from
from ringback.errors import ConfigurationError

if TYPE_CHECKING:
    from ringback.config import Settings


def backup(
    file: Annotated[Path, typer.Argument(help="Where to; nothing that is there is overwritten.")],
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Copy the database to FILE, while the server runs: all that was acknowledged before is in it.

    The master key is not: keep it too, in another place.
    """
    from ringback.store.sqlite.backup import back_up

    settings = settings_from(config, database=database, data=data)
    if not settings.database_path.exists():
        raise ConfigurationError(f"there is no database at {settings.database_path}")
    started = time.monotonic()
    size = back_up(settings.database_path, file)
    print(f"{file}: {size / 1_000_000:.1f} MB in {time.monotonic() - started:.1f} s, complete and on disk")
    print(_about_the_key(settings))


def _about_the_key(settings: Settings) -> str:
    if settings.master_key is not None:
        key = "RINGBACK_MASTER_KEY"
    elif settings.key_file.exists():
        key = str(settings.key_file)
    else:
        return "there is no master key here: the copy is of use only with the one its secrets are sealed with"
    return (
        f"THE MASTER KEY IS NOT IN IT: keep {key} too, in another place.\n"
        "Without it nobody can open the secrets in the copy, and no server starts from it."
    )
