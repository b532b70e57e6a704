"""Cursors that are broken, or of another walk: refused by name in every list, over real HTTP."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.api.followers import live_node
from tests.api.one_node import EARLY, LATE, LISTS, Held, fault, held_node

pytestmark = pytest.mark.asyncio(loop_scope="module")
FILTERED = [path for path, filters in LISTS.items() if filters]
BY_ID = [path for path in LISTS if "event-types" not in path]
OF_A_BUSINESS = [path for path in LISTS if "{acme}" in path]
REFUSED = (422, "VALIDATION_FAILED", ["Cursor"])

BROKEN: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "a word": lambda _: "next",
    "a number": lambda _: "50",
    "cut": lambda cursor: cursor[:-1],
    "without its padding": lambda cursor: cursor.rstrip("="),
    "twice": lambda cursor: cursor * 2,
    "with a tail": lambda cursor: cursor + "A",
    "with a space before it": lambda cursor: f" {cursor}",
    "with a NUL": lambda cursor: cursor[:-1] + "\0",
    "of other letters": lambda cursor: "é" * len(cursor),
    "of another digest": lambda cursor: _moved(cursor, lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
    "of another format": lambda cursor: _moved(cursor, lambda raw: raw[8:] + raw[:8]),
    "before the first row": lambda cursor: _at(cursor, -1),
    "far before the first row": lambda cursor: _at(cursor, -(1 << 63)),
    "zeros": lambda cursor: "A" * len(cursor),
    "very long": lambda cursor: cursor * 1_000,
}


def _moved(cursor: str, change: Callable[[bytes], bytes]) -> str:
    return urlsafe_b64encode(change(urlsafe_b64decode(cursor))).decode()


def _at(cursor: str, position: int) -> str:
    """As somebody could make it who knows how cursors are made."""
    return _moved(cursor, lambda raw: position.to_bytes(8, "big", signed=True) + raw[-8:])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    async with held_node(tmp_path_factory.mktemp("node") / "data") as held:
        yield held


async def test_no_list_and_no_filter_is_forgotten_here(held: Held) -> None:
    document = (await held.node.client.get("/openapi.json")).json()
    found = {}
    for path, calls in document["paths"].items():
        names = {one["name"] for one in calls.get("get", {}).get("parameters", []) if one["in"] == "query"}
        if "Cursor" in names:
            found[path.removeprefix("/api/v1").replace("BusinessId", "acme")] = names - {"Cursor", "Limit"}

    assert found == {path: set(filters) for path, filters in LISTS.items()}


@pytest.mark.parametrize("path", LISTS)
async def test_a_broken_cursor_is_refused(held: Held, path: str) -> None:
    cursor = await held.next_of(path)

    answers = {how: fault(await held.page(path, Cursor=broken(cursor))) for how, broken in BROKEN.items()}

    assert answers == dict.fromkeys(BROKEN, REFUSED)


@pytest.mark.parametrize("path", LISTS)
async def test_a_cursor_of_another_list_is_refused(held: Held, path: str) -> None:
    others = {other: await held.next_of(other) for other in LISTS if other != path}

    answers = {other: fault(await held.page(path, Cursor=cursor)) for other, cursor in others.items()}

    assert answers == dict.fromkeys(others, REFUSED)


@pytest.mark.parametrize("path", OF_A_BUSINESS)
async def test_a_cursor_of_another_business_is_refused(held: Held, path: str) -> None:
    theirs = await held.next_of(path.replace("{acme}", "{other}"))

    assert fault(await held.page(path, Cursor=theirs)) == REFUSED


@pytest.mark.parametrize("path", FILTERED)
async def test_a_cursor_without_a_filter_is_refused_with_one(held: Held, path: str) -> None:
    cursor, filters = await held.next_of(path), LISTS[path]

    answers = {
        name: fault(await held.page(path, Cursor=cursor, **{name: value})) for name, value in filters.items()
    }

    assert answers == dict.fromkeys(filters, REFUSED)


@pytest.mark.parametrize(
    ("path", "begun", "changed"),
    [
        ("/business/{acme}/events", {"Test": False}, {"Test": True}),
        ("/business/{acme}/events", {"Since": EARLY}, {"Since": LATE}),
        ("/business/{acme}/events", {"Since": EARLY}, {}),
        ("/business/{acme}/deliveries", {"State": "held"}, {"State": "queued"}),
        ("/business/{acme}/deliveries", {"State": "held"}, {"State": "held", "Test": False}),
        ("/business/{acme}/deliveries", {"IntegrationId": "{crm}"}, {"IntegrationId": "{plain}"}),
        ("/audit", {"Action": "integration.pause"}, {"Actor": "integration.pause"}),
    ],
    ids=str,
)
async def test_a_cursor_serves_the_filters_it_began_with(
    held: Held, path: str, begun: dict[str, Any], changed: dict[str, Any]
) -> None:
    cursor = await held.next_of(path, **begun)

    assert (await held.page(path, Cursor=cursor, **begun)).status_code == 200
    assert fault(await held.page(path, Cursor=cursor, **changed)) == REFUSED


@pytest.mark.parametrize("path", LISTS)
async def test_the_size_of_a_page_may_change_on_the_way(held: Held, path: str) -> None:
    first, *rest = (await held.page(path, Limit=200)).json()["Data"]["Items"]
    cursor = await held.next_of(path)

    assert (await held.page(path, Limit=200, Cursor=cursor)).json()["Data"]["Items"] == rest
    assert first not in rest


@pytest.mark.parametrize("path", BY_ID)
async def test_a_position_of_ones_own_making_shows_ones_own_rows(held: Held, path: str) -> None:
    whole = (await held.page(path, Limit=200)).json()["Data"]["Items"]
    cursor = await held.next_of(path)

    for position in (0, 1, 1 << 40, (1 << 63) - 1):
        answer = await held.page(path, Limit=200, Cursor=_at(cursor, position))
        assert answer.status_code == 200
        assert all(item in whole for item in answer.json()["Data"]["Items"])


async def test_a_cursor_outlives_the_node_that_gave_it(tmp_path: Path) -> None:
    async with held_node(tmp_path / "data") as before:
        rest = {path: (await before.page(path, Limit=200)).json()["Data"]["Items"][1:] for path in LISTS}
        cursors = {path: await before.next_of(path) for path in LISTS}
    async with live_node(tmp_path / "data") as node:
        after = Held(node, before.names)
        for path, cursor in cursors.items():
            answer = await after.page(path, Limit=200, Cursor=cursor)
            assert answer.json()["Data"]["Items"] == rest[path]
