"""`ringback keys`: API keys, made and revoked directly on the database, and the master key."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.listing import Row, show_list
from ringback.cli.master_keys import rotate_master
from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from
from ringback.model import ApiKey, Scope

if TYPE_CHECKING:
    from ringback.config import Settings


keys = typer.Typer(
    help="Make, list and revoke API keys, and replace the master key, directly on the database.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
keys.command("rotate-master")(rotate_master)

_COLUMNS: dict[str, Callable[[Row], str]] = {
    "Id": lambda row: row["Id"],
    "Name": lambda row: row["FriendlyName"],
    "May": lambda row: " ".join(row["Scopes"]),
    "Businesses": lambda row: " ".join(map(str, row["RestrictedBusinessIds"])) or "all",
    "Ends in": lambda row: f"…{row['EndsIn']}",
    "Created": lambda row: row["CreatedAt"],
}


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for, 1 to 100 characters.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeat for more.")],
    business: Annotated[
        list[int] | None,
        typer.Option(help="BusinessId it is restricted to; repeat for more, leave out for all."),
    ] = None,
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Make a key and print it, once: only its hash is stored."""
    settings = settings_from(config, database=database, data=data)
    print(asyncio.run(_create(settings, name, frozenset(scope), frozenset(business or ()))))
    print("Keep it: it is not shown again.", file=sys.stderr)


@keys.command("list")
def list_(database: Database = None, data: DataDirectory = None, config: ConfigFile = None) -> None:
    """Show the keys: a table on a terminal, a JSON line each elsewhere."""
    settings = settings_from(config, database=database, data=data)
    show_list([_as_shown(key) for key in asyncio.run(_list(settings))], _COLUMNS)


@keys.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the key, as `ringback keys list` shows it.")
    ],
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Revoke a key: a running server refuses it within a second."""
    settings = settings_from(config, database=database, data=data)
    asyncio.run(_revoke(settings, key_id))
    print(f"Revoked {key_id}.")


async def _create(settings: Settings, name: str, scopes: frozenset[Scope], businesses: frozenset[int]) -> str:
    import secrets

    from ringback import ids
    from ringback.apikeys import RANDOM_BYTES, new_key, stored_key
    from ringback.cli.database import change, opened

    _check(name, scopes, businesses)
    text = new_key(secrets.token_bytes(RANDOM_BYTES))
    async with opened(settings) as store:
        for business_id in businesses:
            await store.get_business(business_id)
        id_randomness = secrets.randbits(ids.COUNTER_BITS)
        key = stored_key(text, name, scopes, businesses, store.now(), id_randomness)
        await store.create_key(key, change("key.create", store.now(), name))
    return text


async def _list(settings: Settings) -> list[ApiKey]:
    from ringback.cli.database import opened
    from ringback.store.walk import LIMIT, walk

    async with opened(settings) as store:
        return [key async for key in walk(lambda before: store.list_keys(LIMIT, before))]


async def _revoke(settings: Settings, key_id: str) -> None:
    from ringback import ids
    from ringback.cli.database import change, opened
    from ringback.errors import NotFound

    row_id = ids.internal(ids.API_KEY, key_id)
    if row_id is None:
        raise NotFound(f"{key_id} is no key's id; `ringback keys list` shows them")
    async with opened(settings) as store:
        await store.revoke_key(row_id, change("key.revoke", store.now()))


def _check(name: str, scopes: frozenset[Scope], businesses: frozenset[int]) -> None:
    from ringback.errors import FieldError, InvalidRequest

    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest(FieldError("--name", "must have 1 to 100 printable characters"))
    if Scope.OPERATOR in scopes and businesses:
        raise InvalidRequest(
            FieldError("--business", "an operator's key reaches every business; leave it out")
        )


def _as_shown(key: ApiKey) -> Row:
    from ringback import ids
    from ringback.envelope import iso_time

    return {
        "Id": ids.public(ids.API_KEY, key.key_id),
        "FriendlyName": key.friendly_name,
        "Scopes": sorted(key.scopes),
        "RestrictedBusinessIds": sorted(key.business_ids),
        "EndsIn": key.ends_in,
        "CreatedAt": iso_time(key.created_at),
    }
