"""`ringback serve`: the server."""

from __future__ import annotations

from typing import Annotated

import typer

from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on; 8400.")] = None,
    database: Database = None,
    data: DataDirectory = None,
    processes: Annotated[int | None, typer.Option(help="Operating system processes; only 1 so far.")] = None,
    role: Annotated[str | None, typer.Option(help="What this process does; only all so far.")] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Allow plain http and loopback receivers; serve loopback only.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Accept events, deliver them, answer the API. SIGTERM or Ctrl-C drains and ends it.

    Every option is also a variable, RINGBACK_<NAME>, and a key of ringback.toml.
    """
    settings = settings_from(
        config,
        host=host,
        port=port,
        database=database,
        data=data,
        processes=processes,
        role=role,
        dev=dev or None,
    )
    from ringback.service import run

    raise typer.Exit(run(settings))
