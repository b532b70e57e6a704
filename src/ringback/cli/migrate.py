"""`ringback migrate`: the database's tables, made or brought up to date."""

from __future__ import annotations

from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from


def migrate(database: Database = None, data: DataDirectory = None, config: ConfigFile = None) -> None:
    """Make the database, or bring its tables up to date. A start does it by itself; this does only it."""
    from ringback.clock import wall_ms
    from ringback.store.sqlite import migrate

    path = settings_from(config, database=database, data=data).database_path
    for name in migrate(path, wall_ms):
        print(f"applied {name}")
    print(f"{path} is up to date")
