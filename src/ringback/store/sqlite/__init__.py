"""The store on SQLite: one file, nothing to install."""

from ringback.store.sqlite.schema import migrate
from ringback.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "migrate"]
