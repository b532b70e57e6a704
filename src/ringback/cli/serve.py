"""`ringback serve`: the server, in one process or in several."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from

if TYPE_CHECKING:
    from socket import socket

    from ringback.config import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on; 8400.")] = None,
    database: Database = None,
    data: DataDirectory = None,
    processes: Annotated[int | None, typer.Option(help="Processes that share the port; 1.")] = None,
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
    count = settings.processes or 1
    raise typer.Exit(_in_one_process(settings) if count == 1 else _in_processes(settings, count))


def _in_one_process(settings: Settings) -> int:
    from ringback.listening import listen

    with listen(settings.host, settings.port) as listener:
        from ringback.service import run

        return run(settings, listener)


def _in_processes(settings: Settings, count: int) -> int:
    """What a server needs is loaded in its processes: what is forked has nothing begun."""
    from ringback.cli.main import code_of
    from ringback.listening import listen_together
    from ringback.observe.logs import configure_logging
    from ringback.processes import supervise

    def prepare() -> int:
        from ringback.service import prepare

        return code_of(lambda: prepare(settings))

    def serve_one(number: int, listener: socket) -> int:
        from ringback.service import run

        return code_of(lambda: run(settings, listener, number))

    listeners = listen_together(settings.host, settings.port, count)
    human = settings.logs_are_for_people(terminal=sys.stderr.isatty())
    configure_logging(sys.stderr, human=human, level=settings.log_level)
    return supervise(listeners, prepare, serve_one)
