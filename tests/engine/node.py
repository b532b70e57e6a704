"""A whole node without HTTP, on a real loop: store, ingest, engine, and requests that really go out.

Nothing sleeps: what a test waits for is told by the observer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from ringback.admit import Draft
from ringback.engine.attempt import Attempts, Sends
from ringback.engine.loop import Engine
from ringback.engine.pace import Pace
from ringback.engine.test_sends import TestSends
from ringback.ingest import Ingest
from ringback.keyring import KeyRing
from ringback.model import (
    AttemptResult,
    Integration,
    IntegrationSettings,
    IntegrationState,
    Leased,
    Message,
    Node,
    Secret,
    SecretState,
)
from ringback.observe import Metrics, Observer
from ringback.send import Sender
from ringback.snapshot import LiveSnapshot
from ringback.store.port import (
    Accepted,
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    NewBusiness,
)
from tests import builders
from tests.builders import change
from tests.engine.staged import PATIENCE, StagedStore
from tests.zoo import Zoo

SHORT = Pace(
    look=0.05, heartbeat=0.05, rescue=0.05, orphans=0.05, cancellations=0.05, depth=0.05, secrets=0.05
)
USER_AGENT = "ringback/test"


class Watch(Observer):
    """The real observer, which also remembers and wakes whoever waits for something to be true."""

    def __init__(self) -> None:
        super().__init__(Metrics(), None)
        self.results: list[AttemptResult] = []
        self.unrecorded: list[AttemptResult] = []
        self.troubles: list[tuple[str, BaseException]] = []
        self._changed = asyncio.Event()

    def attempt(self, result: AttemptResult, recorded: bool) -> None:
        super().attempt(result, recorded)
        (self.results if recorded else self.unrecorded).append(result)
        self._changed.set()

    def trouble(self, what: str, error: BaseException) -> None:
        self.metrics.trouble[what] += 1
        self.troubles.append((what, error))
        self._changed.set()

    def released(self, count: int) -> None:
        super().released(count)
        self._changed.set()

    def depth(self, **depth: int) -> None:
        super().depth(**depth)
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """`depth` is measured all the time, so that whatever is asked is asked again."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def recorded(self, attempts: int) -> list[AttemptResult]:
        await self.until(lambda: len(self.results) >= attempts)
        return self.results

    async def trouble_with(self, what: str, times: int = 1) -> None:
        await self.until(lambda: self.metrics.trouble[what] >= times)


class Logged(NamedTuple):
    """A delivery as the store has it."""

    row: DeliveryRow
    attempts: tuple[AttemptRow, ...]


class WholeNode:
    def __init__(
        self,
        store: StagedStore,
        lease: Node,
        sender: Sends,
        *,
        window: int = 100,
        max_queued_events: int = 20_000,
    ) -> None:
        self.store = store
        self.lease = lease
        self.watch = Watch()
        self.live = LiveSnapshot(store)
        self.keyring = KeyRing([bytes(32)])
        attempts = Attempts(sender, self.keyring, USER_AGENT, jitter=lambda: 0.0)
        self.test_sends = TestSends(attempts, store.now)
        self.engine = Engine(store, lease, self.live, attempts, self.watch, window, SHORT)
        self.ingest = Ingest(store, lease, self.live, self.engine, self.watch, max_queued_events)
        self.broken: list[BaseException] = []
        self._numbers = count(1)
        self.ingesting: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        await self.live.refresh()
        await self.engine.run(self.broken.append)
        self.ingesting = asyncio.create_task(self.ingest.run())
        return self

    async def stop(self) -> None:
        if self.ingesting is not None:
            self.ingesting.cancel()
            await asyncio.gather(self.ingesting, return_exceptions=True)
        await self.engine.stop()

    # -- configuration

    async def integration(
        self,
        url: str,
        *,
        business_id: int | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
        events: tuple[str, ...] = ("*",),
        **settings: Any,
    ) -> Integration:
        """An active integration, of a business of its own unless one is given.

        When it returns its lane is known to be empty: what is published next goes the direct way.
        """
        now, number = self.store.now(), next(self._numbers)
        if business_id is None:
            new = NewBusiness(name=f"Business {number}")
            business_id = (await self.store.create_business(new, change(at=now))).business_id
        made = self._sealed(builders.integration(business_id, number, at=now), secret, headers)
        made = msgspec.structs.replace(made, url=url, events=events, settings=IntegrationSettings(**settings))
        stored = await self.store.create_integration(made, change(at=now))
        await self.live.refresh()
        await self.watch.until(lambda: not self.engine.lanes.has_due)
        return stored

    def _sealed(
        self, bare: Integration, secret: str | None, headers: Mapping[str, str] | None
    ) -> Integration:
        secret_id, seal = bare.secrets[0].secret_id, self.keyring.seal
        secrets = () if secret is None else (self._secret(secret_id, SecretState.CURRENT, secret),)
        lines = None if headers is None else msgspec.json.encode(list(headers.items()))
        sealed = None if lines is None else seal(lines, f"headers:{bare.integration_id}")
        return msgspec.structs.replace(bare, secrets=secrets, sealed_headers=sealed)

    def _secret(self, secret_id: int, state: SecretState, secret: str) -> Secret:
        sealed = self.keyring.seal(secret.encode(), f"secret:{secret_id}")
        return msgspec.structs.replace(builders.secret(secret_id, state), sealed=sealed)

    async def rotated(self, to: Integration, secret: str) -> Integration:
        """With a new secret, while the old one still counts."""
        old = to.secrets[0]
        outgoing = msgspec.structs.replace(old, state=SecretState.OUTGOING)
        new = self._secret(old.secret_id + 50, SecretState.CURRENT, secret)
        return await self.save(msgspec.structs.replace(to, secrets=(outgoing, new)))

    async def save(self, changed: Integration) -> Integration:
        saved = await self.store.save_integration(changed, change(at=self.store.now()))
        await self.live.refresh()
        return saved

    async def set_state(self, to: Integration, state: IntegrationState) -> Integration:
        now = self.store.now()
        return await self.save(msgspec.structs.replace(to, state=state, state_since=now))

    async def delete(self, to: Integration) -> None:
        await self.store.delete_integration(to.business_id, to.integration_id, change(at=self.store.now()))
        await self.live.refresh()

    # -- events

    def draft(self, business_id: int, event_id: str | None = None, **message: Any) -> Draft:
        values = {"event_type": "call.completed", "timestamp": self.store.now(), "data": b"{}", **message}
        event_id = event_id or f"evt_{next(self._numbers)}"
        return Draft(message=Message(event_id=event_id, business_id=business_id, **values), generated=False)

    async def publish(self, to: Integration, event_id: str | None = None, **message: Any) -> Accepted:
        (accepted,) = await self.publish_all(to.business_id, self.draft(to.business_id, event_id, **message))
        return accepted

    async def publish_all(self, business_id: int, *drafts: Draft) -> list[Accepted]:
        return await self.ingest.publish(business_id, drafts)

    async def retry_by_hand(self, row: DeliveryRow) -> None:
        at = change(at=self.store.now())
        await self.store.retry_delivery(row.business_id, row.delivery_id, at)
        self.engine.wake(row.integration_id)

    # -- what became of them

    async def logged(self, of: AttemptResult | Leased) -> Logged:
        leased = of.leased if isinstance(of, AttemptResult) else of
        business_id = leased.message.business_id
        return Logged(*await self.store.get_delivery(business_id, leased.delivery_id))

    async def deliveries(self, business_id: int, **wanted: Any) -> list[DeliveryRow]:
        page = await self.store.list_deliveries(business_id, DeliveryFilter(**wanted), 200, None)
        return list(page.items)

    @property
    def at_rest(self) -> bool:
        """Nothing in flight, every slot given back."""
        lanes = self.engine.lanes
        return not self.engine.in_flight and not lanes.window_in_use


@asynccontextmanager
async def a_node(
    database: Path,
    *,
    sender: Callable[[Sender], Sends] = lambda sender: sender,
    ca_file: Path | None = None,
    nameservers: Sequence[str] | None = None,
    store: Mapping[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[WholeNode]:
    """A running node. `sender` may put something of the test between the engine and the real sender."""
    opened = await StagedStore.open(database, **(store or {}))
    assert isinstance(opened, StagedStore)
    real = Sender(allow_loopback=True, ca_file=ca_file, nameservers=nameservers)
    lease = await opened.join(opened.now())
    node = WholeNode(opened, lease, sender(real), **options)
    try:
        yield await node.start()
    finally:
        await node.stop()
        await real.close()
        await opened.close()


async def until_at_rest(node: WholeNode) -> None:
    await node.watch.until(lambda: node.at_rest)


async def requests(zoo: Zoo, count: int, path: str) -> list[str]:
    """The EventIds of the first requests at that path."""
    came = await asyncio.to_thread(zoo.wait_for, count, path)
    return [request.headers["webhook-id"] for request in came]
