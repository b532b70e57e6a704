"""Batches gather by themselves while one commits, and none grows without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from ringback import ingest
from ringback.engine import recorder
from ringback.model import Outcome, Timings
from ringback.send import Request, Sender
from tests.engine.node import a_node, until_at_rest
from tests.engine.staged import Gate


class AnswersAtOnce:
    """Stands in for the sender: every answer is there with the loop's next round."""

    def __init__(self, _: Sender) -> None:
        self._loop = asyncio.get_running_loop()

    def send(self, _: Request, done: Callable[[Outcome], None]) -> None:
        self._loop.call_soon(done, Outcome(started_at=1, ended_at=2, timings=Timings(), status=200))


async def test_no_commit_takes_more_events_than_a_batch_may_have(tmp_path: Path) -> None:
    async with a_node(tmp_path / "ringback.db", sender=AnswersAtOnce) as node:
        to = await node.integration("http://127.0.0.1:9/", events=("call.failed",))
        gate = node.store.before["accept"] = Gate()
        publishing = [asyncio.create_task(node.publish_all(to.business_id, node.draft(to.business_id)))]
        await gate.reached.wait()
        for _ in range(5):
            drafts = [node.draft(to.business_id) for _ in range(ingest.MAX_BATCH_EVENTS // 2)]
            publishing.append(asyncio.create_task(node.publish_all(to.business_id, *drafts)))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(*publishing)

        assert node.store.batch_sizes == [1, 2, 2, 1]


async def test_no_record_takes_more_results_than_a_batch_may_have(tmp_path: Path) -> None:
    many = recorder.MAX_BATCH + 200
    async with a_node(tmp_path / "ringback.db", sender=AnswersAtOnce, window=2 * many) as node:
        to = await node.integration("http://127.0.0.1:9/", max_concurrency=many)
        await node.publish_all(to.business_id, *(node.draft(to.business_id) for _ in range(many)))
        await node.watch.recorded(many)

        batches = node.watch.metrics.record_batch
        assert sum(batches.counts) > 1
        beyond = [bound for bound in batches.bounds if bound > recorder.MAX_BATCH]
        assert not any(batches.counts[-1 - len(beyond) :]), "none was larger"
        await until_at_rest(node)
