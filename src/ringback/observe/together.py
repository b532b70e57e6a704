"""The numbers of all processes on one port in one answer: a scrape reaches any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from ringback.neighbours import Neighbours
from ringback.observe.metrics import CONTENT_TYPE

ANSWER_SECONDS = 0.5
_ASK, _ANSWER = "numbers?", "numbers"


class Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric as one process has it. `samples`: name, labels, value."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


class _Question(msgspec.Struct, frozen=True, array_like=True):
    """Other servers on the same database, of another supervisor, keep silent."""

    supervisor: int
    number: int


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    number: int
    process: int
    families: list[Family]


class Together:
    """One of so many `processes` of a supervisor, named by its pid; `own` gives this one's numbers."""

    def __init__(
        self,
        neighbours: Neighbours,
        own: Callable[[], list[Family]],
        supervisor: int,
        process: int,
        processes: int,
    ) -> None:
        self._neighbours = neighbours
        self._own = own
        self._supervisor = supervisor
        self._process = process
        self._processes = processes
        self._numbers = count()
        self._open: dict[int, dict[int, list[Family]]] = {}
        self._news = asyncio.Event()
        neighbours.on(_ASK, self._asked)
        neighbours.on(_ANSWER, self._answered)

    async def exposition(self) -> tuple[str, bytes]:
        """Whoever does not answer in time is not in it."""
        number = next(self._numbers)
        found = self._open[number] = {self._process: self._own()}
        self._neighbours.tell(_ASK, _encode(_Question(self._supervisor, number)))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    while len(found) < self._processes:
                        self._news.clear()
                        await self._news.wait()
        finally:
            del self._open[number]
        return CONTENT_TYPE, exposition_of(found)

    def _asked(self, node_id: int, body: bytes) -> None:
        question = _decode_question(body)
        if question.supervisor == self._supervisor:
            answer = _Answer(question.number, self._process, self._own())
            self._neighbours.tell_one(node_id, _ANSWER, _encode(answer))

    def _answered(self, _node_id: int, body: bytes) -> None:
        answer = _decode_answer(body)
        if answer.number in self._open:
            self._open[answer.number][answer.process] = answer.families
            self._news.set()


_encode = msgspec.msgpack.Encoder().encode
_decode_question = msgspec.msgpack.Decoder(_Question).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode


def families_of(collector: Collector) -> list[Family]:
    return [
        Family(
            one.name,
            one.documentation,
            one.type,
            [(sample.name, sample.labels, sample.value) for sample in one.samples],
        )
        for one in collector.collect()
    ]


def exposition_of(by_process: Mapping[int, Sequence[Family]]) -> bytes:
    """In Prometheus' format, each process under its label; how many there are is a number, too."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(by_process))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, by_process: Mapping[int, Sequence[Family]]) -> None:
        self._by_process = by_process

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        for process, families in sorted(self._by_process.items()):
            for family in families:
                metric = merged.setdefault(family.name, Metric(family.name, family.text, family.kind))
                for name, labels, value in family.samples:
                    metric.add_sample(name, {**labels, "process": str(process)}, value)
        yield from merged.values()
        answered = Metric("ringback_processes", "Processes whose numbers these are.", "gauge")
        answered.add_sample("ringback_processes", {}, len(self._by_process))
        yield answered
