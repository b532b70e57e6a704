"""A server as its operators and tenants meet it: over HTTP, with businesses that publish."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.e2e.processes import API_KEY, Server, wait_until

PAYLOAD = "what-was-said-in-the-call"
PATIENCE = 20.0
MASTER_KEY = "bWFzdGVyLWtleS1tYXN0ZXIta2V5LW1hc3Rlci1rZXk="


@contextlib.contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Server]:
    server = Server(folder, environment=environment)
    try:
        server.start()
        yield server
    finally:
        if not server.ended:
            server.kill()


class Calls(Protocol):
    def call(self, method: str, path: str, body: Any = None) -> Any: ...


class Business:
    """A tenant on a server, with what it publishes and where that goes."""

    def __init__(self, server: Calls) -> None:
        self._server = server
        self.id: int = server.call("POST", "/api/v1/business", {"Name": "Acme"})["BusinessId"]

    def subscribe(self, url: str, **fields: Any) -> str:
        form = {"Type": "webhook", "FriendlyName": "zoo", "Fields": {"Url": url, "Events": ["*"]}, **fields}
        made = self._server.call("POST", f"/api/v1/business/{self.id}/integrations", form)
        integration_id: str = made["Id"]
        return integration_id

    def publish(self, event_id: str, event_type: str = "call.failed") -> Any:
        event = {"EventType": event_type, "EventId": event_id, "Data": {"Message": PAYLOAD}}
        return self._server.call("POST", f"/api/v1/business/{self.id}/events", event)

    def deliveries(self) -> list[Any]:
        """Newest first."""
        items: list[Any] = self._server.call("GET", f"/api/v1/business/{self.id}/deliveries")["Items"]
        return items

    def wait_for(self, state: str, count: int) -> None:
        def there() -> bool:
            return [one["State"] for one in self.deliveries()].count(state) >= count

        wait_until(f"{count} deliveries {state}", there, PATIENCE)


def post(server: Server, business_id: int, body: bytes, key: str = API_KEY) -> int:
    """The status of a publish."""
    return int(answer_to(server, f"/api/v1/business/{business_id}/events", body, key)[0])


def answer_to(
    server: Server, path: str, body: bytes | None = None, key: str = API_KEY
) -> tuple[int, dict[str, str], bytes]:
    headers = {"Authorization": f"Token {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()
