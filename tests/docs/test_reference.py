"""The reference says what the code does: a setting, code, header, class or type without a line fails here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ringback.api.answers import STATUS
from ringback.api.context import Context
from ringback.api.control import control_app
from ringback.catalog import BUILT_IN
from ringback.cli.main import EXIT_CODES
from ringback.config import OTHER_VARIABLES, Settings, variable_of
from ringback.envelope import RESERVED_HEADERS, headers_of
from ringback.model import Message
from ringback.signing import SigningKey

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(name: str, width: int) -> dict[str, list[str]]:
    """The rows of a page's tables of that width, by their first cell's word in backticks."""
    found = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) == width:
            found[cells[0].strip("`")] = cells[1:]
    return found


def shown(default: object) -> str:
    if default is None:
        return "–"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_has_its_row_with_its_default_and_meaning() -> None:
    documented = rows("settings.md", 5)

    assert list(documented) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        variable, flag, default, meaning = documented[name]
        assert variable == f"`{variable_of(name)}`"
        assert flag in ("", f"`--{name.replace('_', '-')}`")
        assert default == shown(field.default)
        assert meaning.startswith((field.description or "?").rstrip("."))


def test_every_other_variable_has_its_row() -> None:
    assert set(rows("settings.md", 2)) == OTHER_VARIABLES


def test_every_error_code_has_its_row_with_its_status() -> None:
    documented = rows("errors.md", 4)

    assert {name: int(cells[0]) for name, cells in documented.items()} == {
        str(code): status for code, status in STATUS.items()
    }


def test_every_exit_code_has_its_row() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page("errors.md"), re.MULTILINE)}

    assert documented == EXIT_CODES


def test_every_header_that_is_sent_has_its_row() -> None:
    message = Message(event_id="evt_1", event_type="call.started", business_id=1, timestamp=0, data=b"{}")
    keys = [SigningKey("new secret"), SigningKey("old secret")]

    sent = headers_of(message, b"", keys, 1, 0, "ringback/1", test=True, replay=True)

    assert set(rows("headers.md", 2)) == {name for name, _ in sent}


def test_every_header_that_custom_ones_may_not_take_is_named() -> None:
    custom = page("headers.md").partition("## Custom headers")[2]

    assert set(re.findall(r"`([a-z-]+)`", custom)) == RESERVED_HEADERS


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_event_type_has_its_row_with_its_fields(name: str) -> None:
    fields = rows("event-types.md", 3)[name][1]
    schema = BUILT_IN[name].schema

    for field in schema["properties"]:
        mark = "" if field in schema["required"] else r"\?"
        assert re.search(rf"\b{field}{mark}(?=[,\s]|$)", fields), f"{field} of {name}"


def test_every_call_has_its_row() -> None:
    document = control_app(cast(Context, SimpleNamespace(version="1", public_url=None))).openapi()

    assert set(rows("api.md", 3)) == {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    architecture = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^    (\w.*)$", architecture.partition("## Layers")[2], re.MULTILINE)

    assert drawn == [layer for layer in layers if layer != "__main__"]


def test_no_event_type_is_documented_that_is_not_there() -> None:
    assert set(rows("event-types.md", 3)) == set(BUILT_IN)
