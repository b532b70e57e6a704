"""What the demo asks of the server, over its public API."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import httpx

from ringback.errors import Refused, Unavailable

POLL_SECONDS = 0.05


class Api:
    def __init__(self, url: str, api_key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Token {api_key}"}, trust_env=False, timeout=20
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ready(self) -> None:
        """Returns when the server takes traffic."""
        while True:
            try:
                if (await self._client.get("/health/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(POLL_SECONDS)

    async def create_business(self, name: str) -> int:
        business = await self._call("POST", "/business", {"Name": name})
        return int(business["BusinessId"])

    async def create_integration(self, business: int, integration: dict[str, Any]) -> str:
        created = await self._call("POST", f"/business/{business}/integrations", integration)
        return str(created["Id"])

    async def send_test(self, business: int, integration: str, event_type: str) -> dict[str, Any]:
        """The whole attempt, with its explanation."""
        path = f"/business/{business}/integrations/{integration}/test"
        return dict(await self._call("POST", path, {"EventType": event_type}))

    async def dead_letters(self, business: int) -> list[dict[str, Any]]:
        """The newest ones first, one page of them."""
        page = await self._call("GET", f"/business/{business}/deliveries?State=dead&Limit=200")
        return list(page["Items"])

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises Refused with the server's own words, Unavailable where there is no answer."""
        try:
            response = await self._client.request(method, f"/api/v1{path}", json=body)
            answer = response.json()
        except (httpx.RequestError, ValueError) as error:
            raise Unavailable(f"the server did not answer {method} {path}: {error}") from None
        if not answer.get("Success"):
            raise Refused(f"{method} {path}: {answer.get('Code')}: {answer.get('Message')}")
        return answer["Data"]
