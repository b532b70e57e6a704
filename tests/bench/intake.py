"""Intake alone, nobody subscribed: what an event costs published singly and in arrays of 1,000."""

from __future__ import annotations

from tests.bench.children import cpu_seconds
from tests.bench.figures import Section, figure
from tests.bench.load import connected
from tests.bench.server import BUSINESSES, Ringback, serving
from tests.bench.setting import Setting
from tests.bench.traffic import Requests, batches, singles

BATCH_EVENTS = 1_000
BATCH_CONNECTIONS = 4
WARM_UP_BATCHES = 4
GOAL_SHARE = 0.2


def batch(setting: Setting) -> list[Section]:
    amounts, single, batched = setting.amounts, [], []
    for number in range(amounts.rounds):
        with serving(setting, setting.folder / f"intake-{number}") as server:
            doors = [server.create_business(f"nobody {one}") for one in range(BUSINESSES)]
            one_by_one, arrays = singles(doors), batches(doors, BATCH_EVENTS)
            single.append(
                _cpu_us(server, one_by_one, setting.connections, amounts.warm_up, amounts.single_events)
            )
            per_batch = _cpu_us(server, arrays, BATCH_CONNECTIONS, WARM_UP_BATCHES, amounts.batches)
            batched.append(per_batch / BATCH_EVENTS)
    shares = [many / one for one, many in zip(single, batched, strict=True)]
    return [
        Section(
            name="batch",
            title=f"Intake alone: single events against arrays of {BATCH_EVENTS:,}",
            figures=[
                figure("single events", "µs/event", single),
                figure(f"arrays of {BATCH_EVENTS:,}", "µs/event", batched),
                figure("array to single", "×", shares, GOAL_SHARE),
            ],
            notes=[
                f"CPU of the server from the first publish to the last answer. {BUSINESSES} businesses "
                f"without an integration; {setting.connections} connections for single events, "
                f"{BATCH_CONNECTIONS} for arrays; payload validation at its default."
            ],
        )
    ]


def _cpu_us(server: Ringback, requests: list[Requests], connections: int, warm_up: int, count: int) -> float:
    """µs of CPU per request."""
    with connected(server.port, requests, connections) as load:
        load.run(0, warm_up)
        before = cpu_seconds(server.pid)
        load.run(warm_up, count)
        return (cpu_seconds(server.pid) - before) / count * 1e6
