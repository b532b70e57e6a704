"""What cannot be done is refused over real HTTP with a status, a stable code and the field at fault, and
changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.api.browser import PASSWORD
from tests.api.one_node import EARLY, LATE, LISTS, Held, fault, held_node

BACKWARDS = {"Since": LATE, "Until": EARLY}
A_LONG_TIME = {"Since": "2020-01-01T00:00:00Z", "Until": "2030-01-01T00:00:00Z"}
MEGABYTE, MORE_THAN_A_BODY = "x" * 1_000_000, "x" * (1 << 20)

LOGS = [path for path, filters in LISTS.items() if filters]
STATS = "/business/{acme}/stats"
CRM = "/business/{acme}/integrations/{crm}"
PLAIN = "/business/{acme}/integrations/{plain}"


class Case(NamedTuple):
    """`field` is the one at fault; None where none is."""

    call: str
    sent: Any
    status: int
    code: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.call} {self.sent}"[:100]


def invalid(call: str, sent: Any, field: str) -> Case:
    return Case(call, sent, 422, "VALIDATION_FAILED", field)


RANGES = [
    *(invalid(f"GET {path}", BACKWARDS, "Since") for path in (*LOGS, STATS)),
    *(invalid(f"GET {path}", {"Since": "yesterday"}, "Since") for path in (*LOGS, STATS)),
    *(invalid(f"GET {path}", {"Since": "2026-11-01T00:00:00"}, "Since") for path in (*LOGS, STATS)),
    *(invalid(f"GET {path}", {"Until": "2026-02-30T00:00:00Z"}, "Until") for path in (*LOGS, STATS)),
    invalid(f"GET {STATS}", {"Since": EARLY, "Until": EARLY}, "Since"),
    invalid(f"GET {STATS}", {**A_LONG_TIME, "Bucket": "1m"}, "Bucket"),
    invalid(f"GET {STATS}", {**A_LONG_TIME, "Bucket": "5m"}, "Bucket"),
    invalid(f"GET {STATS}", {**A_LONG_TIME, "Bucket": "1h"}, "Bucket"),
    invalid(f"GET {STATS}", {"Since": "0001-01-01T00:00:00Z", "Until": "9999-12-31T23:59:59Z"}, "Bucket"),
    *(invalid(f"GET {STATS}", {"Bucket": bucket}, "Bucket") for bucket in ("0", "1s", "60", "1M", "")),
]
FILTERS = [
    *(invalid(f"GET {path}", {"Colour": "red"}, "Colour") for path in (*LISTS, STATS, "/system")),
    *(invalid(f"GET {path}", {"limit": 1}, "limit") for path in LISTS),
    *(invalid(f"GET {path}", {"Limit": limit}, "Limit") for path in LISTS for limit in (0, 201)),
    *(invalid("GET /keys", {"Limit": limit}, "Limit") for limit in (-1, 1.5, "all", "", 10**30)),
    invalid("GET /business/{acme}/events", {"State": "dead"}, "State"),
    invalid("GET /business/{acme}/events", {"Test": "maybe"}, "Test"),
    invalid("GET /business/{acme}/events", {"EventType": "x" * 1_000}, "EventType"),
    *(
        invalid("GET /business/{acme}/deliveries", {field: value}, field)
        for field, value in (
            ("State", "lost"),
            ("State", "Dead"),
            ("Status", 99),
            ("Status", 1_000),
            ("Status", "5xx"),
            ("FailureClass", "bad_luck"),
            ("Test", "maybe"),
            ("EventId", "not an id"),
            ("EventId", "x" * 65),
            ("IntegrationId", "intg_"),
            ("IntegrationId", "dlv_0000000000001"),
        )
    ),
    *(
        invalid("GET /business/{acme}/audit", {field: "x" * 301}, field)
        for field in ("Actor", "Action", "Object")
    ),
    invalid(f"GET {STATS}", {"IntegrationId": "intg_zzzz"}, "IntegrationId"),
]
STREAMS = [
    invalid("GET /business/{acme}/stream", {"LastEventId": last}, "LastEventId")
    for last in ("7", "x", "0123456789ab-", "x" * 4_000)
]
PEOPLE = [
    *(
        invalid(
            "POST /users", {"Email": "ada@example.com", "Role": "viewer", "Password": password}, "Password"
        )
        for password in ("short", MEGABYTE)
    ),
    invalid("PATCH /users/{viewer}", {"Password": MEGABYTE}, "Password"),
    invalid("POST /session", {"Email": "owner@example.com", "Password": MEGABYTE}, "Password"),
    invalid(
        "POST /session/first", {"Token": "x", "Email": "ada@example.com", "Password": MEGABYTE}, "Password"
    ),
    Case("PATCH /users/{viewer}", {"Password": MORE_THAN_A_BODY}, 413, "PAYLOAD_TOO_LARGE"),
    Case("POST /session", {"Password": MORE_THAN_A_BODY}, 413, "PAYLOAD_TOO_LARGE"),
    Case("DELETE /users/{owner}", None, 409, "CONFLICT"),
    Case("PATCH /users/{owner}", {"Role": "viewer"}, 409, "CONFLICT"),
    Case("PATCH /users/{owner}", {"Enabled": False}, 409, "CONFLICT"),
    Case(
        "POST /users", {"Email": "OWNER@example.com", "Role": "viewer", "Password": PASSWORD}, 409, "CONFLICT"
    ),
    invalid("PATCH /users/{owner}", {"Role": "root"}, "Role"),
    Case("DELETE /users/usr_0000000000001", None, 404, "NOT_FOUND"),
]
SECRETS = [
    Case(f"POST {CRM}/secret/rotate", {}, 409, "CONFLICT"),
    Case(f"POST {CRM}/secret/rotate", {"OverlapSeconds": 0}, 409, "CONFLICT"),
    Case(f"POST {PLAIN}/secret/rotate/finish", None, 409, "CONFLICT"),
    Case(f"POST {PLAIN}/secret/reveal", None, 409, "CONFLICT"),
    invalid(f"POST {PLAIN}/secret/rotate", {"OverlapSeconds": 604_801}, "OverlapSeconds"),
    invalid(f"POST {PLAIN}/secret/rotate", {"Secret": MEGABYTE}, "Secret"),
    invalid(f"POST {PLAIN}/secret/rotate/finish", {"Now": True}, "Now"),
]
DELIVERIES = [
    invalid("POST /business/{acme}/deliveries/retry", {"Ids": []}, "Ids"),
    invalid("POST /business/{acme}/deliveries/retry", {"Ids": ["dlv_0000000000001"] * 201}, "Ids"),
    invalid("POST /business/{acme}/deliveries/retry", {"Ids": ["dlv_0000000000001"] * 2}, "Ids[1]"),
    invalid("POST /business/{acme}/deliveries/retry", {"Ids": [7]}, "Ids[0]"),
    Case("GET /business/{other}/deliveries/{delivery}", None, 404, "NOT_FOUND"),
    Case("POST /business/{other}/deliveries/{delivery}/retry", None, 404, "NOT_FOUND"),
    Case("GET /business/{other}/events/{event}", None, 404, "NOT_FOUND"),
]
pytestmark = pytest.mark.asyncio(loop_scope="module")
CASES = [*RANGES, *FILTERS, *STREAMS, *PEOPLE, *SECRETS, *DELIVERIES]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Held]:
    async with held_node(tmp_path_factory.mktemp("node") / "data") as held:
        yield held


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_cannot_be_done_is_refused(held: Held, case: Case) -> None:
    method, path = case.call.split(" ")
    before = await held.items_of("/audit?Limit=1")

    if method == "GET" and case.sent is not None:
        answer = await held.page(path, **case.sent)
    else:
        answer = await held.call(method, path, case.sent)

    assert fault(answer) == (case.status, case.code, [case.field] if case.field else []), answer.text
    assert answer.json()["Message"]
    assert len(answer.content) < 2_000
    assert await held.items_of("/audit?Limit=1") == before
