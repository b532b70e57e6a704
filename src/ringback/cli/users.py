"""`ringback users`: people who sign in, added and let in again directly on the database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ringback.cli.listing import Row, show_list
from ringback.cli.options import ConfigFile, Database, DataDirectory, settings_from
from ringback.people import Role, User, UserEdit

if TYPE_CHECKING:
    from ringback.config import Settings
    from ringback.store.port import Change, Store


users = typer.Typer(
    help="Add, list and disable the people who sign in, and set their passwords, directly on the database.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_COLUMNS: dict[str, Callable[[Row], str]] = {
    "Email": lambda row: row["Email"],
    "Name": lambda row: row["Name"] or "",
    "Role": lambda row: row["Role"],
    "State": lambda row: "enabled" if row["Enabled"] else "disabled",
    "Last sign-in": lambda row: row["LastSignInAt"] or "never",
    "Id": lambda row: row["Id"],
}

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person's email address.")]
FromStdin = Annotated[
    bool,
    typer.Option("--password-stdin", help="Read the password from the first line of the standard input."),
]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and show it, once.")]


@users.command()
def create(
    email: Annotated[str, typer.Option(help="The email address to sign in with.")],
    role: Annotated[
        Role, typer.Option(help="owner: everything; operator: all within businesses; viewer: read.")
    ],
    name: Annotated[str | None, typer.Option(help="How the person is called, up to 100 characters.")] = None,
    password_stdin: FromStdin = False,
    generate: Generate = False,
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Add a person. The password is asked for; without a terminal one is made and shown, once."""
    settings = settings_from(config, database=database, data=data)
    _check(email, name)
    password = _password(from_stdin=password_stdin, generate=generate)
    user_id = asyncio.run(_create(settings, email, name, role, password.text))
    _show_if_made(password)
    print(user_id)


@users.command("reset-password")
def reset_password(
    email: Email,
    password_stdin: FromStdin = False,
    generate: Generate = False,
    database: Database = None,
    data: DataDirectory = None,
    config: ConfigFile = None,
) -> None:
    """Set a new password, end the person's sessions, and forget wrong passwords."""
    settings = settings_from(config, database=database, data=data)
    password = _password(from_stdin=password_stdin, generate=generate)
    asyncio.run(_change(settings, email, password=password.text))
    _show_if_made(password)
    print(f"{email} has a new password; sessions that were open have ended.")


@users.command()
def disable(
    email: Email, database: Database = None, data: DataDirectory = None, config: ConfigFile = None
) -> None:
    """Keep a person out, at once. The last enabled owner cannot be disabled."""
    asyncio.run(_change(settings_from(config, database=database, data=data), email, enabled=False))
    print(f"{email} is disabled.")


@users.command()
def enable(
    email: Email, database: Database = None, data: DataDirectory = None, config: ConfigFile = None
) -> None:
    """Let a person in again."""
    asyncio.run(_change(settings_from(config, database=database, data=data), email, enabled=True))
    print(f"{email} is enabled.")


@users.command("list")
def list_(database: Database = None, data: DataDirectory = None, config: ConfigFile = None) -> None:
    """Show the people: a table on a terminal, a JSON line each elsewhere."""
    settings = settings_from(config, database=database, data=data)
    show_list([_as_shown(user) for user in asyncio.run(_list(settings))], _COLUMNS)


# ---------------------------------------------------------------- passwords


class _Password(NamedTuple):
    text: str
    made: bool = False


def _password(*, from_stdin: bool, generate: bool) -> _Password:
    """Read, asked for, or made. Raises InvalidRequest."""
    if from_stdin and generate:
        raise typer.BadParameter("choose one of --password-stdin and --generate")
    if from_stdin:
        return _Password(_checked(sys.stdin.readline().rstrip("\r\n")))
    if generate or not sys.stdin.isatty():
        return _made()
    return _Password(_checked(typer.prompt("Password", hide_input=True, confirmation_prompt=True)))


def _show_if_made(password: _Password) -> None:
    """Once it is set: one that opens nothing must not be written down."""
    if password.made:
        print(f"The password, shown this once: {password.text}", flush=True)


def _made() -> _Password:
    import secrets

    from ringback.people.passwords import GENERATED_BYTES, generated

    return _Password(generated(secrets.token_bytes(GENERATED_BYTES)), made=True)


def _checked(password: str) -> str:
    from ringback.errors import FieldError, InvalidRequest
    from ringback.people.passwords import MAX_CHARACTERS, MIN_CHARACTERS

    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        words = f"must have {MIN_CHARACTERS} to {MAX_CHARACTERS:,} characters"
        raise InvalidRequest(FieldError("password", words))
    return password


# ---------------------------------------------------------------- on the database


async def _create(settings: Settings, email: str, name: str | None, role: Role, password: str) -> str:
    import secrets

    from ringback import ids
    from ringback.cli.database import change, opened
    from ringback.people import Credentials, new_user
    from ringback.people.passwords import Passwords

    hashed = await Passwords().hash(password)
    async with opened(settings) as store:
        now = store.now()
        user_id = ids.random_id(now, secrets.randbits(ids.COUNTER_BITS))
        user = new_user(user_id, email, name, role, now)
        await store.create_user(Credentials(user=user, password_hash=hashed), change("user.create", now))
    return ids.public(ids.USER, user_id)


async def _change(
    settings: Settings, email: str, *, password: str | None = None, enabled: bool | None = None
) -> None:
    from ringback.cli.database import change, opened
    from ringback.people.passwords import Passwords

    hashed = None if password is None else await Passwords().hash(password)
    async with opened(settings) as store:
        edit = UserEdit(enabled=enabled, password_hash=hashed)
        await _change_named(store, email, edit, change("user.update", store.now()))


async def _change_named(store: Store, email: str, edit: UserEdit, change: Change) -> None:
    from ringback.errors import NotFound

    found = await store.credentials(email)
    if found is None:
        raise NotFound(f"nobody here has the address {email}; `ringback users list` shows them")
    await store.change_user(found.user.user_id, edit, change, None)


async def _list(settings: Settings) -> list[User]:
    from ringback.cli.database import opened
    from ringback.store.walk import LIMIT, walk

    async with opened(settings) as store:
        return [user async for user in walk(lambda before: store.list_users(LIMIT, before))]


def _check(email: str, name: str | None) -> None:
    from ringback.errors import FieldError, InvalidRequest
    from ringback.people import is_email

    if not is_email(email):
        raise InvalidRequest(FieldError("--email", "must be an email address"))
    if name is not None and not (1 <= len(name) <= 100 and name.isprintable()):
        raise InvalidRequest(FieldError("--name", "must have 1 to 100 printable characters"))


# ---------------------------------------------------------------- shown


def _as_shown(user: User) -> Row:
    from ringback import ids
    from ringback.envelope import iso_time, iso_time_or_none

    return {
        "Id": ids.public(ids.USER, user.user_id),
        "Email": user.email,
        "Name": user.name,
        "Role": user.role,
        "Enabled": user.enabled,
        "CreatedAt": iso_time(user.created_at),
        "LastSignInAt": iso_time_or_none(user.last_sign_in_at),
    }
