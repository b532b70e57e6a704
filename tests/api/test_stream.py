"""Live updates over real connections: what is said, in which order, to whom."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tests.api.followers import API_KEY, Follower, LiveNode, Said, live_node
from tests.zoo import Zoo

OTHER_LIFE = "0123456789ab-7"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "data") as node:
        yield node


async def all_delivered(follower: Follower, count: int) -> None:
    await follower.until(lambda: list(follower.states().values()).count("delivered") == count)


async def one_more_attempt(node: LiveNode, business_id: int, follower: Follower) -> None:
    before = len(follower.items("attempt.finished"))
    await node.publish(business_id)
    await follower.until(lambda: len(follower.items("attempt.finished")) > before)


def has_heard(follower: Follower, message_id: str) -> bool:
    return follower.last_id == message_id


# ---------------------------------------------------------------- what is said


async def test_a_stream_opens_with_what_a_client_needs_to_know(node: LiveNode) -> None:
    async with node.follow(await node.business()) as follower:
        headers = follower.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-request-id"].startswith("req_")
        (hello,) = follower.said
        assert (hello.event, hello.data) == ("hello", {"Resumed": False})
        assert follower.retry == "2000"


async def test_a_delivery_is_followed_from_its_acceptance_to_its_end(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    crm = await node.integration(acme, zoo.url("gate/follow"))
    async with node.follow(acme) as follower:
        (event_id,) = await node.publish(acme)
        await follower.until(lambda: list(follower.states().values()) == ["sending"])
        zoo.open_gate("follow")
        await all_delivered(follower, 1)

        (attempt,) = follower.items("attempt.finished")
        assert (attempt["EventId"], attempt["IntegrationId"], attempt["Number"]) == (event_id, crm, 1)
        assert (attempt["State"], attempt["Status"], attempt["FailureClass"]) == ("delivered", 200, None)
        listed = await node.data("GET", f"/business/{acme}/deliveries")
        assert follower.items("delivery.updated")[-1] == listed["Items"][0]


async def test_a_failure_a_retry_by_hand_and_a_cancellation_are_seen(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    await node.integration(acme, zoo.url("status/500"))
    async with node.follow(acme) as follower:
        await node.publish(acme)
        await follower.until(lambda: list(follower.states().values()) == ["retrying"])
        (delivery_id,) = follower.states()
        assert follower.items("delivery.updated")[-1]["NextAttemptAt"] is not None

        await node.data("POST", f"/business/{acme}/deliveries/{delivery_id}/retry")
        await follower.until(lambda: len(follower.items("attempt.finished")) == 2)
        assert follower.items("attempt.finished")[-1]["Replay"] is True

        await node.data("POST", f"/business/{acme}/deliveries/{delivery_id}/cancel")
        await follower.until(lambda: follower.states() == {delivery_id: "cancelled"})


async def test_what_waited_is_seen_as_sending_when_its_turn_comes(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    crm = await node.integration(acme, zoo.url("gate/turn"))
    await node.data("POST", f"/business/{acme}/integrations/{crm}/pause")
    async with node.follow(acme) as follower:
        await node.publish(acme)
        await follower.until(lambda: list(follower.states().values()) == ["held"])
        await node.data("POST", f"/business/{acme}/integrations/{crm}/resume")
        await follower.until(lambda: list(follower.states().values()) == ["sending"])
        zoo.open_gate("turn")
        await all_delivered(follower, 1)


async def test_a_test_send_is_seen(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    crm = await node.integration(acme, zoo.url("ok"))
    async with node.follow(acme) as follower:
        await node.data("POST", f"/business/{acme}/integrations/{crm}/test", {"EventType": "call.failed"})
        await all_delivered(follower, 1)
        (attempt,), (delivery,) = follower.items("attempt.finished"), follower.items("delivery.updated")
        assert attempt["Test"] is delivery["Test"] is True
        assert attempt["DeliveryId"] == delivery["Id"]


async def test_an_integration_is_seen_as_it_is_made_changed_and_deleted(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    async with node.follow(acme) as follower:
        crm = await node.integration(acme, zoo.url("ok"))
        path = f"/business/{acme}/integrations/{crm}"
        await follower.until(lambda: len(follower.items("integration.updated")) == 1)
        assert follower.items("integration.updated")[0] == await node.data("GET", path)

        await node.data("PATCH", path, {"FriendlyName": "Renamed"})
        await follower.until(lambda: len(follower.items("integration.updated")) == 2)
        await node.data("POST", f"{path}/pause")
        await follower.until(lambda: len(follower.items("integration.updated")) == 3)
        await node.data("DELETE", path)
        await follower.until(lambda: len(follower.items("integration.updated")) == 4)

        _, renamed, paused, deleted = follower.items("integration.updated")
        assert (renamed["FriendlyName"], renamed["State"]) == ("Renamed", "active")
        assert (paused["FriendlyName"], paused["State"]) == ("Renamed", "paused")
        assert deleted == {"Id": crm, "Deleted": True}


async def test_what_waits_is_told_after_something_changed(node: LiveNode, zoo: Zoo) -> None:
    node.limit(stats_seconds=0.1)
    acme = await node.business()
    crm = await node.integration(acme, zoo.url("ok"))
    await node.data("POST", f"/business/{acme}/integrations/{crm}/pause")
    async with node.follow(acme) as follower:
        await node.publish(acme, 3)
        await follower.until(lambda: bool(follower.of("stats")))
        assert follower.of("stats")[-1].data["Now"]["Held"] == 3
        stats = await node.data("GET", f"/business/{acme}/stats")
        assert follower.of("stats")[-1].data["Now"] == stats["Now"]


async def test_a_client_hears_from_a_stream_on_which_nothing_happens(node: LiveNode) -> None:
    node.limit(heartbeat_seconds=0.02)
    async with node.follow(await node.business()) as follower:
        await follower.until(lambda: len(follower.comments) >= 3)
        assert follower.said == follower.of("hello")


# ---------------------------------------------------------------- coalescing


async def test_of_a_burst_all_is_shown_or_counted(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    await node.integration(acme, zoo.url("ok"))
    async with node.follow(acme) as follower:
        for _ in range(5):
            await node.publish(acme, 1_000)

        def told(event: str) -> int:
            return len(follower.items(event)) + follower.omitted(event)

        await follower.until(lambda: told("attempt.finished") >= 5_000)
        assert told("attempt.finished") == 5_000
        assert follower.omitted("attempt.finished") > 0
        assert told("delivery.updated") >= 5_000
        assert max(len(one.data["Items"]) for one in follower.of("delivery.updated")) <= 100
        assert await node.figure("ringback_stream_updates_omitted_total") == sum(
            follower.omitted(event) for event in ("attempt.finished", "delivery.updated")
        )


async def test_each_kind_of_change_has_one_message_a_tick(node: LiveNode, zoo: Zoo) -> None:
    node.limit(tick_seconds=0.5)
    acme = await node.business()
    await node.integration(acme, zoo.url("ok"))
    async with node.follow(acme) as follower:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(30):
            await node.publish(acme)
        await all_delivered(follower, 30)
        ticks = (loop.time() - began) / 0.5 + 1
        assert len(follower.of("attempt.finished")) <= ticks
        assert len(follower.of("delivery.updated")) <= ticks


# ---------------------------------------------------------------- resuming


async def test_what_came_meanwhile_is_said_again_to_who_comes_back(node: LiveNode, zoo: Zoo) -> None:
    acme = await node.business()
    await node.integration(acme, zoo.url("ok"))
    async with node.follow(acme) as witness:
        async with node.follow(acme) as follower:
            await node.publish(acme)
            await all_delivered(follower, 1)
            left_at = follower.last_id
        await node.publish(acme, 3)
        await all_delivered(witness, 4)
        by_query, by_both = f"?LastEventId={left_at}", f"?LastEventId={OTHER_LIFE}"
        for last, query in ((left_at, ""), (None, by_query), (left_at, by_both)):
            async with node.follow(acme, last, query=query) as back:
                await back.until(partial(has_heard, back, witness.last_id))
                missed = witness.said[[one.id for one in witness.said].index(left_at) + 1 :]
                assert back.said == [Said(left_at, "hello", {"Resumed": True}), *missed]


async def test_whoever_drops_out_again_and_again_hears_what_the_others_hear(node: LiveNode, zoo: Zoo) -> None:
    chance = random.Random(4)
    acme = await node.business()
    await node.integration(acme, zoo.url("ok"))
    heard: list[Said] = []

    async def publish() -> None:
        for _ in range(60):
            await node.publish(acme, chance.randint(1, 5))
            await asyncio.sleep(chance.random() / 20)

    async def drop_out(last: str) -> None:
        while not (enough.done() and any(one.id == enough.result() for one in heard)):
            async with node.follow(acme, last) as follower:
                await asyncio.sleep(chance.random() / 5)
                assert follower.said[0].data == {"Resumed": True}
                heard.extend(follower.said[1:])
                last = follower.last_id

    node.limit(tick_seconds=0.02)
    enough: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with node.follow(acme) as witness:
        dropping = asyncio.create_task(drop_out(witness.last_id))
        await publish()
        await witness.until(lambda: "sending" not in witness.states().values())
        enough.set_result(witness.last_id)
        length = len(witness.said) - 1
        await asyncio.wait_for(dropping, 30)
        assert length > 50
        assert heard[:length] == witness.said[1 : length + 1]
        assert len({one.id for one in heard}) == len(heard)


@pytest.mark.parametrize("kind", ["another life", "another business", "a later one", "forgotten"])
async def test_what_is_not_known_any_more_is_a_reset(node: LiveNode, zoo: Zoo, kind: str) -> None:
    node.limit(ring_messages=3)
    acme, other = await node.business(), await node.business()
    await node.integration(acme, zoo.url("ok"))
    async with node.follow(other) as theirs, node.follow(acme) as witness:
        oldest = witness.last_id
        while int(witness.last_id.partition("-")[2]) < 5:
            await one_more_attempt(node, acme, witness)
        life = oldest.partition("-")[0]
        last = {
            "another life": OTHER_LIFE,
            "another business": theirs.last_id,
            "a later one": f"{life}-99",
            "forgotten": oldest,
        }[kind]
        async with node.follow(acme, last) as follower:
            await follower.until(lambda: bool(follower.of("reset")))
            assert [one.event for one in follower.said[:2]] == ["hello", "reset"]
            await one_more_attempt(node, acme, follower)


async def test_after_a_while_nothing_is_kept_for_those_who_left(node: LiveNode, zoo: Zoo) -> None:
    node.limit(linger_seconds=0.0)
    acme = await node.business()
    await node.integration(acme, zoo.url("ok"))
    async with node.follow(acme) as follower:
        left_at = follower.last_id
    await node.streams_become(0)
    await node.publish(acme)
    async with node.follow(await node.business()):
        assert acme not in node.service.feed.followed
    async with node.follow(acme, left_at) as follower:
        await follower.until(lambda: bool(follower.of("reset")))


@pytest.mark.parametrize(
    "last", ["7", "x", "0123456789ab-", "0123456789ab-1x", "-1", "é", "0123456789AB-1", "1" * 5_000]
)
async def test_what_was_never_an_id_is_refused(node: LiveNode, last: str) -> None:
    acme = await node.business()
    path = f"/api/v1/business/{acme}/stream"
    key = (b"Authorization", f"Token {API_KEY}".encode())
    by_header = await node.client.get(path, headers=[key, (b"Last-Event-ID", last.encode())])
    by_query = await node.client.get(path, headers=[key], params={"LastEventId": last})

    for answer, name in ((by_header, "Last-Event-ID"), (by_query, "LastEventId")):
        assert answer.status_code == 422
        assert [one["Field"] for one in answer.json()["Errors"]] == [name]


# ---------------------------------------------------------------- who may


async def test_tenants_hear_only_of_their_own(node: LiveNode, zoo: Zoo) -> None:
    acme, other = await node.business("Acme"), await node.business("Other")
    for business_id in (acme, other):
        await node.integration(business_id, zoo.url("ok"))
    key = (await node.key("read", businesses=[other]))["Key"]
    async with node.follow(acme) as ours, node.follow(other, key=key) as theirs:
        mine = await node.publish(acme, 20)
        (last,) = await node.publish(other)
        await all_delivered(ours, 20)
        await all_delivered(theirs, 1)
        assert {item["EventId"] for item in ours.items("delivery.updated")} == set(mine)
        assert {item["EventId"] for item in theirs.items("delivery.updated")} == {last}
        assert {item["EventId"] for item in theirs.items("attempt.finished")} == {last}


async def test_who_may_not_read_the_business_may_not_follow_it(node: LiveNode) -> None:
    acme, other = await node.business(), await node.business()
    path = f"/business/{acme}/stream"
    publisher, stranger = await node.key("publish", "manage"), await node.key("read", businesses=[other])
    for key, status, code in (
        ("rbk_unknown", 401, "INVALID_API_KEY"),
        (publisher["Key"], 403, "PERMISSION_DENIED"),
        (stranger["Key"], 404, "NOT_FOUND"),
    ):
        answer = await node.call("GET", path, key=key)
        assert (answer.status_code, answer.json()["Code"]) == (status, code)
    assert (await node.call("GET", "/business/99/stream")).status_code == 404
    assert (await node.call("GET", f"{path}?Since=1")).status_code == 422
    assert (await node.call("POST", path)).status_code == 405
    assert node.service.feed.streams == 0
