"""Each attempt is composed from the newest configuration, whoever changed it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from standardwebhooks import Webhook

from ringback.match import Snapshot
from ringback.signing import standard_secret
from ringback.snapshot import LiveSnapshot
from ringback.store.port import NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.builders import change
from tests.engine.node import WholeNode
from tests.engine.staged import PATIENCE
from tests.zoo import Zoo

OLD, NEW = "the secret of before", "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_after_a_change_the_next_event_goes_to_the_new_place_with_the_new_secret(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.url("ok?X-Is=old"), secret=OLD)
    await node.publish(to, "evt_1")
    await node.watch.recorded(1)

    moved = await node.save(msgspec.structs.replace(to, url=zoo.url("ok?X-Is=new")))
    await node.rotated(moved, NEW)
    await node.publish(to, "evt_2")
    (request,) = await asyncio.to_thread(zoo.wait_for, 1, "ok?X-Is=new")

    assert request.headers["webhook-id"] == "evt_2"
    for secret in (OLD, NEW):
        Webhook(standard_secret(secret)).verify(request.body, dict(request.headers))
    assert len(zoo.received_at("ok?X-Is=old")) == 1


async def test_a_retry_that_waits_goes_to_the_new_place(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("status/500"), retry_schedule=(1,))
    await node.publish(to, "evt_1")
    await node.watch.recorded(1)

    await node.save(msgspec.structs.replace(to, url=zoo.url("ok")))
    await node.watch.recorded(2)

    (request,) = zoo.received_at("ok")
    assert (request.headers["webhook-id"], request.headers["webhook-attempt"]) == ("evt_1", "2")


async def test_a_change_of_another_process_is_heard_of(tmp_path: Path) -> None:
    here = await SqliteStore.open(tmp_path / "ringback.db")
    there = await SqliteStore.open(tmp_path / "ringback.db")
    live, heard, troubles = LiveSnapshot(here), asyncio.Queue[Snapshot](), list[Exception]()
    live.listen(heard.put_nowait)
    following = asyncio.create_task(live.follow(0.01, troubles.append))

    made = await there.create_business(NewBusiness(name="Acme"), change(at=there.now()))
    async with asyncio.timeout(PATIENCE):
        while made.business_id not in (await heard.get()).businesses:
            pass

    assert made.business_id in live.current.businesses
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert troubles == []
    await there.close()
    await here.close()
