"""Rare moments on a node whose receiver answers only when it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ringback import ingest
from ringback.engine.test_sends import MAX_TESTS
from ringback.errors import Unavailable
from ringback.failures import FailureClass
from ringback.model import Outcome, Timings
from ringback.send import Request, Sender
from ringback.store.sqlite.transaction import Transaction
from tests.engine.node import WholeNode, a_node, until_at_rest
from tests.engine.staged import PATIENCE, Gate

URL = "http://127.0.0.1:9/"


def outcome(**fields: Any) -> Outcome:
    return Outcome(**{"started_at": 1, "ended_at": 2, "timings": Timings(), **fields})


class Receiver:
    """Stands in for the sender and keeps every request open."""

    def __init__(self) -> None:
        self.open: list[Callable[[Outcome], None]] = []

    def instead(self, _: Sender) -> Receiver:
        return self

    def send(self, _: Request, done: Callable[[Outcome], None]) -> None:
        self.open.append(done)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def node(tmp_path: Path, receiver: Receiver) -> AsyncIterator[WholeNode]:
    async with a_node(tmp_path / "ringback.db", sender=receiver.instead) as node:
        yield node


async def rounds(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_drain_whose_time_is_over_records_what_was_answered_before_it_gives_back_the_rest(
    node: WholeNode, receiver: Receiver
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def keep_the_writer(_: Transaction) -> None:
        entered.set()
        go_on.wait(PATIENCE)

    to = await node.integration(URL)
    for number in range(3):
        await node.publish(to, f"evt_{number}")
    keeping = asyncio.create_task(node.store._db.write(keep_the_writer))
    await asyncio.to_thread(entered.wait)
    # The first is on its way to the disk, the second waits behind it, the third has no answer.
    for done in receiver.open[:2]:
        done(outcome(status=200))
        await rounds()

    draining = asyncio.create_task(node.engine.drain(0))
    await rounds()
    go_on.set()
    await draining
    await keeping

    states = sorted(row.state for row in await node.deliveries(to.business_id))
    assert states == ["delivered", "delivered", "queued"]


async def test_an_answer_that_cannot_be_judged_is_a_failure_of_ours(
    node: WholeNode, receiver: Receiver
) -> None:
    to = await node.integration(URL)
    await node.publish(to)

    now = node.store.now()
    receiver.open[0](outcome(started_at=now, ended_at=now, transport="of no class"))
    (result,) = await node.watch.recorded(1)

    assert result.failure is FailureClass.SENDER_ERROR
    assert [row.state for row in await node.deliveries(to.business_id)] == ["retrying"]
    await until_at_rest(node)


async def test_only_so_many_tests_are_under_way(node: WholeNode, receiver: Receiver) -> None:
    to = await node.integration(URL)
    message = node.draft(to.business_id).message
    tests = [asyncio.create_task(node.test_sends.attempt(to, message)) for _ in range(MAX_TESTS)]
    await rounds()

    with pytest.raises(Unavailable) as refused:
        await node.test_sends.attempt(to, message)
    assert refused.value.retry_after >= 1
    receiver.open[0](outcome(status=200))
    await rounds()
    another = asyncio.create_task(node.test_sends.attempt(to, message))
    await rounds()
    for done in receiver.open[1:]:
        done(outcome(status=200))
    await asyncio.gather(*tests, another)


async def test_beyond_the_queue_s_bytes_a_publish_is_refused(
    node: WholeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MAX_QUEUED_BYTES", 1_000)
    to = await node.integration(URL)
    gate = node.store.before["accept"] = Gate()
    first = asyncio.create_task(node.publish(to, data=b'"%b"' % (b"x" * 600)))
    await gate.reached.wait()

    with pytest.raises(Unavailable):
        await node.publish(to, "evt_too_much", data=b'"%b"' % (b"x" * 600))

    gate.open.set()
    await first
    assert not (await node.publish(to, "evt_too_much", data=b'"%b"' % (b"x" * 600))).duplicate
