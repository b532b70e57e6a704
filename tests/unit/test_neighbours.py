"""Notes between processes: each arrives, or whoever missed it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ringback import neighbours
from ringback.neighbours import Neighbours


class Node:
    """A process' end, and what it heard. They share the loop here; nothing else."""

    def __init__(self, folder: Path, node_id: int) -> None:
        self.met: list[int] = []
        self.missed: list[int] = []
        self.heard: list[tuple[int, bytes]] = []
        self.end = Neighbours(folder, node_id, self.met.append, self.missed.append)
        self.end.on("news", lambda sender, body: self.heard.append((sender, body)))


@asynccontextmanager
async def living(folder: Path, node_id: int) -> AsyncIterator[Node]:
    node = Node(folder, node_id)
    node.end.open()
    looking = asyncio.create_task(node.end.run(lambda: None))
    try:
        yield node
    finally:
        looking.cancel()
        node.end.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0)


@pytest.fixture(params=["short", "long" * 40])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """However long its path is."""
    made: Path = tmp_path / request.param
    made.mkdir()
    return made


async def test_those_that_live_find_one_another_and_hear_what_is_told_in_order(folder: Path) -> None:
    async with living(folder, 1) as first, living(folder, 2) as second, living(folder, 3) as third:
        await until(lambda: len(first.met) == 2 and len(second.met) == 2 and len(third.met) == 2)
        told = [b"%d" % number for number in range(1_000)]
        for body in told:
            second.end.tell("news", body)
        await until(lambda: len(first.heard) == len(third.heard) == 1_000)
        assert first.heard == third.heard == [(2, body) for body in told]
        assert second.heard == []
        third.end.tell_one(1, "news", b"for you")
        await until(lambda: (3, b"for you") in first.heard)
        assert first.missed == second.missed == third.missed == []


async def test_who_leaves_in_order_is_forgotten_and_who_comes_back_is_met_again(folder: Path) -> None:
    async with living(folder, 1) as first:
        async with living(folder, 2):
            await until(lambda: first.met == [2])
        first.end.tell("news", b"to nobody")
        await asyncio.sleep(0)
        async with living(folder, 2):
            await until(lambda: first.met == [2, 2])
        assert first.missed == []


async def test_a_death_may_have_cost_something_and_is_found_once(folder: Path) -> None:
    async with living(folder, 1) as first:
        async with living(folder, 2):
            await until(lambda: first.met == [2])
            # What a kill leaves: the name of a socket that nobody has any more.
            (folder / "2.sock").rename(folder / "kept")
        (folder / "kept").rename(folder / "2.sock")
        first.end.tell("news", b"are you there?")
        await until(lambda: first.missed == [2])
    async with living(folder, 1) as first:
        first.end.tell_one(2, "news", b"and now?")
        async with living(folder, 3) as third:
            first.end.tell_one(3, "news", b"and you?")
            await until(lambda: third.heard == [(1, b"and you?")])
        assert first.missed == [], "who was dead before it came had nothing to tell"


async def test_a_process_that_lives_again_may_have_lost_something(folder: Path) -> None:
    async with living(folder, 1) as first:
        async with living(folder, 2):
            await until(lambda: first.met == [2])
            (folder / "2.sock").unlink()
        async with living(folder, 2):
            await until(lambda: first.met == [2, 2])
            assert first.missed == [2]


async def test_what_a_slow_reader_does_not_get_is_told_to_it_and_memory_is_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MAX_WAITING_BYTES", 300_000)
    async with living(folder, 1) as first, living(folder, 2) as second:
        await until(lambda: first.met == [2] and second.met == [1])
        for number in range(1_000):
            first.end.tell("news", b"%6d" % number + b"." * 10_000)
        assert second.heard == []
        await until(lambda: second.missed == [1] and (1, b"   999" + b"." * 10_000) in second.heard)
        numbers = [int(body[:6]) for _, body in second.heard]
        assert numbers == list(range(numbers[0], 1_000)), "what does arrive has no gap after it was told"


async def test_nonsense_is_left_alone(folder: Path) -> None:
    import socket

    async with living(folder, 1) as first, living(folder, 2) as second:
        await until(lambda: first.met == [2] and second.met == [1])
        path = folder / "1.sock"
        if len(str(path)) < 100:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(b"\xc1nonsense", str(path))
        second.end.tell("news", b"sense")
        await until(lambda: first.heard == [(2, b"sense")])
