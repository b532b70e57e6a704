"""Name servers that do not answer: only those wait whose names they have."""

from __future__ import annotations

from pathlib import Path

from ringback.failures import FailureClass
from tests.engine.node import WholeNode, a_node
from tests.send.dns import A, NameServer
from tests.zoo import Zoo

HUNG = 30
EVENTS = 40


def made(node: WholeNode, integration_id: int) -> list[FailureClass | None]:
    return [one.failure for one in node.watch.results if one.leased.integration_id == integration_id]


async def test_thirty_hung_names_keep_no_healthy_endpoint_waiting(database: Path, zoo: Zoo) -> None:
    """More than half the window is at hung names, and stays there until the healthy are done."""
    with NameServer() as dns:
        dns.tell("healthy.test", "127.0.0.1", ttl=0)
        async with a_node(database, nameservers=[dns.address], window=100) as node:
            hung = [
                await node.integration(f"http://hung-{number}.test/", timeout_seconds=30, max_concurrency=2)
                for number in range(HUNG)
            ]
            healthy = await node.integration(f"http://healthy.test:{zoo.port}/ok")
            for to in [*hung, *hung]:
                await node.publish(to)
            await node.watch.until(lambda: len({name for name, _ in dns.asked}) == HUNG)

            for number in range(1, EVENTS + 1):
                await node.publish(healthy)
                await node.watch.until(lambda: len(made(node, healthy.integration_id)) == number)  # noqa: B023

            assert made(node, healthy.integration_id) == [None] * EVENTS
            assert len(node.watch.results) == EVENTS
            assert node.engine.in_flight == 2 * HUNG
            assert dns.asked.count(("healthy.test", A)) >= 1
