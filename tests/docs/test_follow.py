"""The follower that the documentation shows follows, also over a connection that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ringback.observe.feed import Ended
from tests.api.followers import API_KEY, live_node
from tests.docs.test_examples import run
from tests.zoo import Zoo


def until_delivered(events: Iterator[tuple[str, Any]]) -> list[tuple[str, Any]]:
    heard: list[tuple[str, Any]] = []
    for event, data in events:
        heard.append((event, data))
        if event == "delivery.updated" and data["Items"][-1]["State"] == "delivered":
            break
    return heard


async def test_the_python_follower_goes_on_where_it_left_off(tmp_path: Path) -> None:
    with Zoo() as zoo:
        async with live_node(tmp_path / "data") as node:
            acme = await node.business()
            await node.integration(acme, zoo.url("ok"))
            url = f"{node.client.base_url}/api/v1/business/{acme}/stream"
            events = run("how-to/follow-live.md", "follow.py")["follow"](url, API_KEY)
            assert await asyncio.to_thread(next, events) == ("hello", {"Resumed": False})

            for resumed in (False, True):
                if resumed:
                    node.service.feed.followed[acme].end(Ended.STOPPING)
                await node.publish(acme)
                heard = await asyncio.to_thread(until_delivered, events)
                assert (("hello", {"Resumed": True}) in heard) is resumed
            await asyncio.to_thread(events.close)
