"""The control plane on a real SQLite store in a temporary folder, spoken to through ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from ringback import ids
from ringback.api.context import Context
from ringback.api.control import control_app
from ringback.apikeys import digest_of
from ringback.clock import wall_ms
from ringback.failures import FailureClass
from ringback.keyring import KeyRing
from ringback.model import (
    ApiKey,
    AttemptResult,
    Decision,
    DeliveryState,
    Integration,
    Leased,
    Message,
    Node,
    Outcome,
    Scope,
    Timings,
)
from ringback.observe import Feed, Metrics
from ringback.people.passwords import Passwords
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Change, NewEvent, Target
from ringback.store.sqlite import SqliteStore
from tests.builders import KEEP
from tests.zoo import Zoo

OPERATOR = "rbk_operator-key-for-tests-0123456789"
URL = "https://hooks.example.com/ringback"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class MovableClock:
    """The wall's clock, and what a test lets pass beside it."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._stands_at: int | None = None

    def __call__(self) -> int:
        return (wall_ms() if self._stands_at is None else self._stands_at) + self._ahead_ms

    def stand_still(self) -> None:
        self._stands_at = wall_ms()

    def pass_ms(self, ms: int) -> None:
        self._ahead_ms += ms


@dataclass
class Api:
    client: httpx.AsyncClient
    context: Context
    store: SqliteStore
    node: Node
    woken: list[int]
    tested: list[Message]
    unready: list[str]
    clock: MovableClock
    folder: Path
    events_made: int = 0

    async def call(
        self, method: str, path: str, json: Any = None, *, key: str | None = OPERATOR, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Token {key}"} if key else {}
        headers |= more.pop("headers", {})
        url = path if path.startswith("/health") else f"/api/v1{path}"
        return await self.client.request(method, url, json=json, headers=headers, **more)

    async def data(
        self, method: str, path: str, json: Any = None, *, key: str | None = OPERATOR, **more: Any
    ) -> Any:
        """`Data` of an answer that must be a success."""
        response = await self.call(method, path, json, key=key, **more)
        assert response.is_success, response.text
        envelope = response.json()
        assert envelope["Success"] is True
        return envelope["Data"]

    async def business(self, name: str = "Acme", **fields: Any) -> int:
        created = await self.data("POST", "/business", {"Name": name, **fields})
        business_id: int = created["BusinessId"]
        return business_id

    async def integration(self, business_id: int, **fields: Any) -> Any:
        form = {
            "Type": "webhook",
            "FriendlyName": "Production",
            "Fields": {"Url": URL, "Events": ["*"]},
            **fields,
        }
        return await self.data("POST", f"/business/{business_id}/integrations", form)

    async def key(self, *scopes: Scope, businesses: Sequence[int] = ()) -> str:
        form = {"FriendlyName": "test", "Scopes": scopes, "RestrictedBusinessIds": list(businesses)}
        key: str = (await self.data("POST", "/keys", form))["Key"]
        return key

    async def event(
        self, business_id: int, *integrations: str, direct: bool = True, data: bytes = b'{"Reason":"Expired"}'
    ) -> tuple[Message, list[int]]:
        """An accepted event; the row ids of its deliveries."""
        now = self.store.now()
        self.events_made += 1
        message = Message(
            event_id=ids.event_id(now, self.events_made.to_bytes(ids.EVENT_ID_RANDOM_BYTES, "big")),
            event_type="call.failed",
            business_id=business_id,
            timestamp=now,
            data=data,
        )
        targets = tuple(Target(integration_id=row_id(one), direct=direct) for one in integrations)
        event = NewEvent(message=message, generated=True, targets=targets)
        (answers,) = await self.store.accept([(event,)], self.context.live.current.version, self.node, now)
        assert isinstance(answers, list)
        return message, [answers[0].row_id + place for place in range(1, len(targets) + 1)]

    async def finish(
        self, message: Message, delivery_id: int, integration: str, state: DeliveryState, **outcome: Any
    ) -> None:
        """Record the first attempt of a leased delivery."""
        result = attempt_result(message, delivery_id, row_id(integration), state, self.store.now(), **outcome)
        assert await self.store.record([result], self.node) == {delivery_id}


def row_id(public_id: str) -> int:
    found = ids.internal(public_id.partition("_")[0], public_id)
    assert found is not None
    return found


def attempt_result(
    message: Message, delivery_id: int, integration_id: int, state: DeliveryState, now: int, **outcome: Any
) -> AttemptResult:
    status = outcome.pop("status", 200 if state is DeliveryState.DELIVERED else 500)
    failure = None if state is DeliveryState.DELIVERED else FailureClass.SERVER_500
    return AttemptResult(
        leased=Leased(
            delivery_id=delivery_id,
            integration_id=integration_id,
            message=message,
            attempts=0,
            tries=0,
            due_at=now,
            created_at=now,
        ),
        outcome=Outcome(
            started_at=now, ended_at=now + 12, timings=Timings(total_ms=12.3456), status=status, **outcome
        ),
        failure=failure,
        decision=Decision(state=state, due_at=now + 60_000 if state is DeliveryState.RETRYING else None),
        signatures=1,
        header_names=("X-Team",),
    )


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    clock = MovableClock()
    store = await SqliteStore.open(tmp_path / "ringback.db", clock=clock)
    live = LiveSnapshot(store)
    woken: list[int] = []
    tested: list[Message] = []
    unready: list[str] = []

    async def attempt_test(integration: Integration, message: Message) -> AttemptResult:
        tested.append(message)
        return attempt_result(
            message, 0, integration.integration_id, DeliveryState.DELIVERED, store.now(), body=b"thanks"
        )

    async def numbers() -> tuple[str, bytes]:
        return "text/plain; version=0.0.4", b"ringback_up 1\n"

    context = Context(
        store=store,
        live=live,
        keyring=KeyRing([b"k" * 32]),
        attempt_test=attempt_test,
        wake=woken.append,
        unready=lambda: unready[0] if unready else None,
        metrics=numbers,
        dev=False,
        version="0.1.0",
        max_event_bytes=4_096,
        keep=KEEP,
        feed=Feed(Metrics()),
        passwords=Passwords(CHEAP),
    )
    await store.create_key(operator_key(), Change(actor="test", action="key.create", at=store.now()))
    await live.refresh()
    transport = httpx.ASGITransport(app=control_app(context), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ringback") as client:
        yield Api(
            client, context, store, await store.join(store.now()), woken, tested, unready, clock, tmp_path
        )
    await store.close()


def operator_key() -> ApiKey:
    return ApiKey(
        key_id=1,
        friendly_name="operator",
        scopes=frozenset({Scope.OPERATOR}),
        business_ids=frozenset(),
        digest=digest_of(OPERATOR.encode()),
        ends_in=OPERATOR[-4:],
        created_at=0,
    )


@pytest.fixture(scope="module")
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo
