"""Where settings are written: `ringback.toml` < environment < flags. An error names the very place."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, NoReturn

from pydantic import ValidationError

from ringback.config.settings import Settings
from ringback.errors import ConfigurationError

PREFIX = "RINGBACK_"
DEFAULT_FILE = Path("ringback.toml")

# Variables of the same prefix that are no settings of the server: who calls it, and fault runs.
OTHER_VARIABLES = frozenset({"RINGBACK_CONFIG", "RINGBACK_URL", "RINGBACK_FAILPOINT"})


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], config_file: Path | None = None
) -> Settings:
    """The settings as given. `flags` that are None were not given. Raises ConfigurationError."""
    _refuse_unknown_variables(environ)
    given = {
        **_from_file(_file_to_read(environ, config_file)),
        **_from_environment(environ),
        **_from_flags(flags),
    }
    try:
        return Settings.model_validate({name: one.value for name, one in given.items()})
    except ValidationError as error:
        _raise_named(error, given)


class _Given(NamedTuple):
    """A value and how it was written: `RINGBACK_PORT`, `--port`, `port in ringback.toml`."""

    value: object
    written: str


def _file_to_read(environ: Mapping[str, str], config_file: Path | None) -> Path | None:
    named = config_file or environ.get(f"{PREFIX}CONFIG") or None
    if named is not None:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _from_file(path: Path | None) -> dict[str, _Given]:
    if path is None:
        return {}
    table = _read_toml(path)
    for name in table:
        if name not in Settings.model_fields:
            raise ConfigurationError(_unknown(f"{name} in {path}", name, Settings.model_fields))
    return {name: _Given(value, f"{name} in {path}") for name, value in table.items()}


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} is not TOML: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Given]:
    """An empty variable counts as unset, as deployment templates leave them."""
    variables = {name: variable_of(name) for name in Settings.model_fields}
    return {
        name: _Given(environ[variable], variable)
        for name, variable in variables.items()
        if environ.get(variable)
    }


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Given]:
    return {
        name: _Given(value, "--" + name.replace("_", "-"))
        for name, value in flags.items()
        if value is not None
    }


def variable_of(name: str) -> str:
    return PREFIX + name.upper()


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {variable_of(name) for name in Settings.model_fields} | OTHER_VARIABLES
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known:
            raise ConfigurationError(_unknown(f"the variable {variable}", variable, known))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    return f"{what} is no setting" + (f"; did you mean {near[0]}?" if near else "")


def _raise_named(error: ValidationError, given: Mapping[str, _Given]) -> NoReturn:
    lines = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(one["loc"][0]) if one["loc"] else "dev"
        written = given[name].written if name in given else name
        lines.append(f"{written}: {one['msg'].removeprefix('Value error, ')}")
    raise ConfigurationError("; ".join(lines)) from None
