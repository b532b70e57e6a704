"""A whole node in this process, and clients that follow its streams over real connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import msgspec
from pydantic import SecretStr

from ringback.config import Settings
from ringback.listening import listen
from ringback.service import Service, http_server, open_service
from ringback.service.ended import Ended

API_KEY = "operator-key-for-tests-0123456789abcdef"
PATIENCE = 30.0


class Said(NamedTuple):
    """One message of a stream."""

    id: str
    event: str
    data: Any


@dataclass
class LiveNode:
    service: Service
    port: int
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: Any = None, key: str = API_KEY) -> httpx.Response:
        headers = {"Authorization": f"Token {key}"}
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def data(self, method: str, path: str, body: Any = None, key: str = API_KEY) -> Any:
        answer = await self.call(method, path, body, key)
        assert answer.is_success, answer.text
        return answer.json()["Data"]

    async def business(self, name: str = "Acme") -> int:
        made: int = (await self.data("POST", "/business", {"Name": name}))["BusinessId"]
        return made

    async def integration(self, business_id: int, url: str, **fields: Any) -> str:
        form = {"Type": "webhook", "FriendlyName": "CRM", "Fields": {"Url": url, "Events": ["*"]}, **fields}
        made: str = (await self.data("POST", f"/business/{business_id}/integrations", form))["Id"]
        return made

    async def publish(self, business_id: int, count: int = 1) -> list[str]:
        """The EventIds of so many events, in one call."""
        event = {"EventType": "call.failed", "Data": {"Reason": "Expired"}}
        answers = await self.data("POST", f"/business/{business_id}/events", [event] * count)
        return [one["EventId"] for one in answers]

    async def key(self, *scopes: str, businesses: Sequence[int] = ()) -> Any:
        form = {"FriendlyName": "test", "Scopes": scopes, "RestrictedBusinessIds": list(businesses)}
        return await self.data("POST", "/keys", form)

    def limit(self, **limits: Any) -> None:
        feed = self.service.feed
        feed.limits = msgspec.structs.replace(feed.limits, **limits)

    async def figure(self, name: str) -> float:
        lines = (await self.client.get("/metrics")).text.splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))

    async def streams_become(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.service.feed.streams != count:
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def follow(
        self, business_id: int, last: str | None = None, key: str = API_KEY, query: str = ""
    ) -> AsyncIterator[Follower]:
        headers = {"Authorization": f"Token {key}"} | ({} if last is None else {"Last-Event-ID": last})
        path = f"/api/v1/business/{business_id}/stream{query}"
        async with self.client.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            async with Follower(response) as follower:
                yield follower


class Follower:
    """A client that reads everything, and tells what it has read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.said: list[Said] = []
        self.comments: list[str] = []
        self.retry: str | None = None
        self.ended = False
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        await self.until(lambda: bool(self.said))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(httpx.RemoteProtocolError, httpx.ReadError):
            async for line in self.response.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    await self._hear(fields)
                    fields = {}
        self.ended = True
        async with self._news:
            self._news.notify_all()

    async def _hear(self, fields: dict[str, str]) -> None:
        if "event" in fields:
            self.said.append(Said(fields["id"], fields["event"], json.loads(fields["data"])))
        if "" in fields:
            self.comments.append(fields[""])
        self.retry = fields.get("retry", self.retry)
        async with self._news:
            self._news.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: true() or self.ended)
        except TimeoutError:
            raise AssertionError(f"heard only {self.said[-5:]} {self.comments}") from None
        assert true(), f"ended after {self.said[-5:]} {self.comments}"

    async def until_ended(self) -> None:
        await self.until(lambda: self.ended)

    def of(self, event: str) -> list[Said]:
        return [one for one in self.said if one.event == event]

    def items(self, event: str) -> list[Any]:
        return [item for one in self.of(event) for item in one.data["Items"]]

    def omitted(self, event: str) -> int:
        return sum(one.data["Omitted"] for one in self.of(event))

    def states(self) -> dict[str, str]:
        """Of every delivery heard of, the newest."""
        return {item["Id"]: item["State"] for item in self.items("delivery.updated")}

    @property
    def last_id(self) -> str:
        return self.said[-1].id


@asynccontextmanager
async def live_node(folder: Path) -> AsyncIterator[LiveNode]:
    settings = Settings(dev=True, data=folder, api_key=SecretStr(API_KEY), port=0)
    with listen("127.0.0.1", 0) as listener:
        ended = Ended()
        async with open_service(settings, ended, None) as service:
            server = http_server(service)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            service.unready = None
            port = listener.getsockname()[1]
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=5)
            try:
                async with httpx.AsyncClient(
                    base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, limits=limits
                ) as client:
                    yield LiveNode(service, port, client)
            finally:
                server.should_exit = True
                await serving
        assert ended.broken is None
