"""Options that several commands share, and the settings they come to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ringback.config import Settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file of settings; ringback.toml where there is one.")
]
Database = Annotated[str | None, typer.Option(help="sqlite:///path; ringback.db in the data directory.")]
DataDirectory = Annotated[Path | None, typer.Option("--data", help="Directory of the database and key file.")]


def settings_from(config_file: Path | None, **flags: object) -> Settings:
    """Flags over the environment over the file. Raises ConfigurationError."""
    from ringback.config import load

    return load(flags, os.environ, config_file)
