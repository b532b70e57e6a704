"""The rules that keep the promises, each with the moment it is for brought about on purpose."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ringback.errors import BusinessDisabled, Poisoned, StoreBroken, Unavailable
from ringback.model import DeliveryState, Integration, IntegrationState, Outcome
from ringback.send import Request, Sender
from ringback.store.port import Accepted, EventFilter
from tests.builders import change
from tests.engine.node import WholeNode, a_node, requests, until_at_rest
from tests.engine.staged import Gate
from tests.store.test_faults import FailingDisk
from tests.zoo import Zoo

DELIVERED = DeliveryState.DELIVERED


# ---------------------------------------------------------------- matching is current


async def test_an_integration_made_between_match_and_commit_gets_the_event(node: WholeNode, zoo: Zoo) -> None:
    first = await node.integration(zoo.url("ok"))

    async def add_another() -> None:
        await node.store.create_integration(
            msgspec.structs.replace(first, integration_id=first.integration_id + 1, url=zoo.url("body/1")),
            change(at=node.store.now()),
        )

    node.store.before["accept"] = add_another
    accepted = await node.publish(first, "evt_1")

    assert accepted.deliveries == 2
    assert await requests(zoo, 1, "ok") == await requests(zoo, 1, "body/1") == ["evt_1"]
    await until_at_rest(node)
    assert [row.state for row in await node.deliveries(first.business_id)] == [DELIVERED, DELIVERED]


async def test_an_integration_deleted_between_match_and_commit_gets_nothing(
    node: WholeNode, zoo: Zoo
) -> None:
    doomed = await node.integration(zoo.url("ok"))

    async def delete() -> None:
        at = change(at=node.store.now())
        await node.store.delete_integration(doomed.business_id, doomed.integration_id, at)

    node.store.before["accept"] = delete
    accepted = await node.publish(doomed)

    assert accepted.deliveries == 0
    assert node.at_rest, "the slot that was taken for it is given back"
    assert zoo.received == []


async def test_a_business_disabled_between_match_and_commit_takes_nothing(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))

    async def disable() -> None:
        business = await node.store.get_business(to.business_id)
        disabled = msgspec.structs.replace(business, enabled=False)
        await node.store.save_business(disabled, change(at=node.store.now()))

    node.store.before["accept"] = disable
    with pytest.raises(BusinessDisabled):
        await node.publish(to)

    assert (await node.store.list_events(to.business_id, EventFilter(), 10, None)).items == ()
    assert node.at_rest


# ---------------------------------------------------------------- the batch's owner hands over


async def test_a_publisher_that_hangs_up_after_the_commit_orphans_nothing(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))
    gate = node.store.after["accept"] = Gate()

    publisher = asyncio.create_task(node.publish(to, "evt_1"))
    await gate.reached.wait()
    publisher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await publisher
    gate.open.set()

    assert [result.leased.message.event_id for result in await node.watch.recorded(1)] == ["evt_1"]
    assert node.at_rest
    await node.publish(to, "evt_2")
    await node.watch.recorded(2)


class BreaksOnce:
    """A sender that fails in a way none should, the first time."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.broken = False

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        if not self.broken:
            self.broken = True
            raise RuntimeError("broken on purpose")
        self._sender.send(request, done)


async def test_a_start_that_fails_after_the_commit_is_found_and_delivered(database: Path, zoo: Zoo) -> None:
    async with a_node(database, sender=BreaksOnce) as node:
        to = await node.integration(zoo.url("ok"))

        events = [node.draft(to.business_id, f"evt_{number}") for number in range(3)]
        assert [one.deliveries for one in await node.publish_all(to.business_id, *events)] == [1, 1, 1]
        results = await node.watch.recorded(3)

        order = [result.leased.message.event_id for result in results]
        assert sorted(order) == ["evt_0", "evt_1", "evt_2"]
        assert order[-1] == "evt_0", "the one that broke came back; the others did not wait for it"
        assert {result.leased.number for result in results} == {1}, "nothing of the schedule is used up"
        assert [what for what, _ in node.watch.troubles] == ["hand over"]
        await until_at_rest(node)


# ---------------------------------------------------------------- idempotency at the same instant


def kinds(answers: list[Accepted]) -> list[bool]:
    return sorted(answer.duplicate for answer in answers)


async def test_of_identical_publishes_in_one_batch_one_is_delivered(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))

    answers = await asyncio.gather(*(node.publish(to, "evt_same") for _ in range(10)))

    assert node.store.batch_sizes == [10]
    assert kinds(answers) == [False] + [True] * 9
    assert len({(answer.row_id, answer.deliveries) for answer in answers}) == 1
    await node.watch.recorded(1)
    await until_at_rest(node)
    assert len(zoo.received) == 1


async def test_of_identical_publishes_in_two_batches_one_is_delivered(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))
    gate = node.store.before["accept"] = Gate()

    first = asyncio.create_task(node.publish(to, "evt_same", data=b'{"a":1}'))
    await gate.reached.wait()
    second = asyncio.create_task(node.publish(to, "evt_same", data=b'{"a":2}'))
    await asyncio.sleep(0)
    gate.open.set()
    answers = [await first, await second]

    assert node.store.batch_sizes == [1, 1]
    assert [answer.duplicate for answer in answers] == [False, True]
    await node.watch.recorded(1)
    await until_at_rest(node)
    assert [request.body.partition(b'"Data":')[2] for request in zoo.received] == [b'{"a":1}}']


async def test_the_same_event_id_of_two_businesses_is_two_events(node: WholeNode, zoo: Zoo) -> None:
    one, other = await node.integration(zoo.url("ok")), await node.integration(zoo.url("body/1"))

    answers = await asyncio.gather(node.publish(one, "evt_same"), node.publish(other, "evt_same"))

    assert kinds(list(answers)) == [False, False]
    await node.watch.recorded(2)


# ---------------------------------------------------------------- held and deleted


@pytest.mark.parametrize("state", [IntegrationState.PAUSED, IntegrationState.DISABLED])
async def test_a_delivery_born_leased_is_given_back_where_its_integration_was_held_meanwhile(
    node: WholeNode, zoo: Zoo, state: IntegrationState
) -> None:
    to = await node.integration(zoo.url("ok"))

    async def hold() -> None:
        await node.set_state(to, state)

    node.store.after["accept"] = hold
    await node.publish(to)
    await node.watch.until(lambda: node.watch.metrics.released == 1)

    assert [row.state for row in await node.deliveries(to.business_id)] == ["held"]
    await until_at_rest(node)
    assert zoo.received == []
    await node.set_state(await node.store.get_integration(*names(to)), IntegrationState.ACTIVE)
    (result,) = await node.watch.recorded(1)
    assert result.leased.number == 1


def names(integration: Integration) -> tuple[int, int]:
    return integration.business_id, integration.integration_id


async def test_claimed_deliveries_are_given_back_where_their_integration_was_held_meanwhile(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.url("ok"))
    paused = await node.set_state(to, IntegrationState.PAUSED)
    for number in range(5):
        await node.publish(to, f"evt_{number}")

    async def hold_again() -> None:
        await node.set_state(await node.store.get_integration(*names(to)), IntegrationState.PAUSED)

    node.store.after["claim"] = hold_again
    await node.set_state(paused, IntegrationState.ACTIVE)
    await node.watch.until(lambda: node.watch.metrics.released == 5)

    assert [row.state for row in await node.deliveries(to.business_id)] == ["held"] * 5
    await until_at_rest(node)
    assert zoo.received == []


async def test_leases_of_an_integration_deleted_meanwhile_are_cancelled_unsent(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.url("ok"))

    async def delete() -> None:
        await node.delete(to)

    node.store.after["accept"] = delete
    await node.publish(to)
    await node.watch.until(lambda: node.watch.metrics.released == 1)
    await until_at_rest(node)

    assert [row.state for row in await node.deliveries(to.business_id)] == [DeliveryState.CANCELLED]
    assert zoo.received == []


async def test_a_pause_lets_what_is_under_way_end_and_starts_nothing_more(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("gate/a"), max_concurrency=2)
    for number in range(6):
        await node.publish(to, f"evt_{number}")
    await requests(zoo, 2, "gate/a")

    await node.set_state(to, IntegrationState.PAUSED)
    zoo.open_gate("a")
    await node.watch.recorded(2)
    await until_at_rest(node)

    assert len(zoo.received) == 2
    states = sorted(row.state for row in await node.deliveries(to.business_id))
    assert states == [DELIVERED] * 2 + ["held"] * 4


# ---------------------------------------------------------------- the database away


async def test_with_the_disk_full_nothing_new_starts_and_nothing_is_lost(database: Path, zoo: Zoo) -> None:
    window = 4
    long_header = "y" * 1_500
    async with a_node(database, window=window) as node:
        made = [await node.integration(zoo.url(f"gate/{name}?X-Long={long_header}")) for name in "abc"]
        for number in range(4):
            for to in made:
                await node.publish(to, f"evt_{to.integration_id}_{number}")
        await asyncio.to_thread(zoo.wait_for, window)
        await node.store.fill_up()
        for name in "abc":
            zoo.open_gate(name)
        await node.watch.trouble_with("store", 2)

        assert node.engine.lanes.window_in_use == window, "a slot is free only when its result is recorded"
        assert node.engine.in_flight == window
        with pytest.raises(Unavailable) as refused:
            await node.publish(made[0], "evt_refused", data=b'{"a":"%b"}' % (b"x" * 20_000))
        assert refused.value.retry_after >= 1
        assert len(zoo.received) == window, "no attempt starts while results cannot be recorded"

        await node.store.make_room()
        await node.watch.recorded(12)
        await until_at_rest(node)
        assert len(zoo.received) == 12
        for to in made:
            rows = await node.deliveries(to.business_id)
            assert [(row.state, row.attempts) for row in rows] == [(DELIVERED, 1)] * 4
        assert not await refused_is_stored(node, made[0].business_id)


async def refused_is_stored(node: WholeNode, business_id: int) -> bool:
    events = await node.store.list_events(business_id, EventFilter(), 100, None)
    return "evt_refused" in {event.event_id for event in events.items}


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk()
    yield disk
    disk.unregister()


async def test_a_commit_that_nobody_knows_of_is_not_called_refused(
    disk: FailingDisk, database: Path, zoo: Zoo
) -> None:
    """A 503 would say that nothing was accepted. No answer is the truth, and the process ends."""
    heard: asyncio.Queue[BaseException] = asyncio.Queue()
    options = {"inline": True, "vfs": "failing-disk", "on_broken": heard.put_nowait}
    async with a_node(database, store=options) as node:
        to = await node.integration(zoo.url("ok"))
        disk.failing = True
        publisher = asyncio.create_task(node.publish(to, "evt_unknown"))
        assert isinstance(await heard.get(), StoreBroken)
        assert node.ingesting is not None
        await asyncio.wait({publisher, node.ingesting}, return_when=asyncio.FIRST_COMPLETED)

        assert not publisher.done()
        assert isinstance(node.ingesting.exception(), StoreBroken)
        publisher.cancel()
        disk.failing = False


# ---------------------------------------------------------------- poison


async def test_a_poisoned_publish_is_refused_alone(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))
    publishes = [node.publish(to, f"evt_{number}") for number in range(7)]
    publishes.insert(3, node.publish(to, "evt_poison", event_type="call.\ud800"))

    answers = await asyncio.gather(*publishes, return_exceptions=True)

    assert node.store.batch_sizes == [8], "they shared a commit"
    assert [isinstance(answer, Poisoned) for answer in answers] == [False] * 3 + [True] + [False] * 4
    await node.watch.recorded(7)
    await until_at_rest(node)
    assert len(zoo.received) == 7
    assert "evt_poison" not in await requests(zoo, 7, "ok")


async def test_of_a_request_with_one_poisoned_event_nothing_is_accepted(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))
    good, bad = node.draft(to.business_id, "evt_good"), node.draft(to.business_id, event_type="\ud800")

    with pytest.raises(Poisoned):
        await node.publish_all(to.business_id, good, bad)

    assert node.at_rest
    assert not (await node.publish(to, "evt_good")).duplicate


# ---------------------------------------------------------------- bounds


async def test_beyond_the_queue_s_limit_a_publish_is_refused_with_a_time_to_come_again(
    database: Path, zoo: Zoo
) -> None:
    async with a_node(database, max_queued_events=3) as node:
        to = await node.integration(zoo.url("ok"))
        gate = node.store.before["accept"] = Gate()
        waiting = [asyncio.create_task(node.publish(to, f"evt_{number}")) for number in range(3)]
        await gate.reached.wait()

        with pytest.raises(Unavailable) as refused:
            await node.publish(to, "evt_too_much")
        assert refused.value.retry_after >= 1
        gate.open.set()
        await asyncio.gather(*waiting)
        await node.publish(to, "evt_too_much")
        await node.watch.recorded(4)


async def test_a_batch_larger_than_the_queue_s_limit_is_taken_when_the_queue_is_empty(
    database: Path, zoo: Zoo
) -> None:
    async with a_node(database, max_queued_events=3) as node:
        to = await node.integration(zoo.url("ok"))

        answers = await node.publish_all(to.business_id, *(node.draft(to.business_id) for _ in range(10)))

        assert len(answers) == 10
