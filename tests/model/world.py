"""A store on a disk that can lose its power, beside the reference that says what must be there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import apsw

from ringback.errors import Refused, StaleSnapshot, StoreBroken, StoreUnavailable
from ringback.model import Node
from ringback.store.port import NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.builders import Clock, change, integration
from tests.model.power_cut import Disk, Moment
from tests.model.reference import Reference
from tests.model.rows import health, look

T = TypeVar("T")
Verb = Coroutine[Any, Any, T]
# Changes the first and returns the answer; the second is what was found in the store afterwards.
Effect = Callable[[Reference, Reference], object]
Image = dict[str, bytes]
_REFUSALS = (Refused, StaleSnapshot)
_LOST = object()
_DISK = "model-disk"


class Ending(Enum):
    CLOSED = "closed"
    KILLED = "killed"
    POWER_CUT = "power cut"


def _as_it_is(answer: Any) -> object:
    return answer


class World:
    """`alive`: the nodes that have joined since the last start. `before`: what was found a step ago."""

    def __init__(self, folder: Path, image: Image) -> None:
        self.clock = Clock()
        self.disk = Disk(_DISK, image)
        self.alive: list[Node] = []
        self._lives: set[Node] = set()
        self._loop = asyncio.new_event_loop()
        self._path = folder / "ringback.db"
        self._ending, self._dice = Ending.POWER_CUT, Random(0)
        self.store = self._open()
        self.found = self.before = self.run(look(self.store))
        self._begin_lives()

    @property
    def reference(self) -> Reference:
        return self.found.reference

    def run(self, verb: Verb[T]) -> T:
        return self._loop.run_until_complete(verb)

    def perform(self, verb: Verb[T], effect: Effect, told: Callable[[T], object] = _as_it_is) -> T | None:
        """Run the verb on both and compare; `told` is its answer in the reference's words.

        None: it was refused, or the process ended before it answered. Then what is found after the
        start must be all of the verb or nothing.
        """
        answer, heard = self._answer(verb, told)
        if self.disk.is_off:
            self._start_again()
        self.before, self.found = self.found, self.run(look(self.store))
        if heard is not _LOST or self.reference != self.before.reference:
            expected = self.before.reference.copy()
            predicted = _predicted(effect, expected, self.reference)
            assert heard in (predicted, _LOST)
            assert self.reference == expected
        return answer

    def join(self) -> None:
        boot = self.disk.boots
        node = self.perform(self.store.join(self.clock()), lambda *_: True, told=self._is_new)
        if node is not None and self.disk.boots == boot:
            self.alive.append(node)

    def _is_new(self, node: Node) -> bool:
        """A life begins once."""
        known = node in self._lives
        self._lives.add(node)
        return not known

    def end_at(self, moment: Moment, count: int, ending: Ending, dice: Random) -> None:
        """The process will end at the count-th such moment from now, whatever it is doing."""
        self.disk.switch_off_at(moment, count)
        self._ending, self._dice = ending, dice

    def restart(self, ending: Ending, dice: Random) -> None:
        """End now, between two verbs, and start again."""
        self._ending, self._dice = ending, dice
        if ending is not Ending.CLOSED:
            self.disk.switch_off()
        self._start_again()
        self.perform(self.store.heartbeat(self.alive[0], self.clock()), lambda *_: None)

    def finish(self) -> None:
        """Whatever was acknowledged is there, even if the power goes now."""
        try:
            self.restart(Ending.POWER_CUT, Random(1))
        finally:
            self._stop()
            self.disk.unregister()
            self._loop.close()

    def _answer(self, verb: Verb[T], told: Callable[[T], object]) -> tuple[T, object] | tuple[None, object]:
        try:
            answer = self.run(verb)
        except _REFUSALS as refusal:
            return None, type(refusal)
        except (StoreUnavailable, StoreBroken):
            if not self.disk.is_off:
                raise
            return None, _LOST
        return answer, told(answer)

    def _start_again(self) -> None:
        self._stop()
        if self.disk.is_off and self._ending is not Ending.KILLED:
            self.disk.lose_power(self._dice)
        self.disk.switch_on()
        self.store = self._open()
        assert self.run(health(self.store)) == "ok"
        self._begin_lives()

    def _begin_lives(self) -> None:
        """Of two nodes, so that one can be taken for the other."""
        self.alive = [self.run(self.store.join(self.clock())) for _ in range(2)]
        assert all(self._is_new(node) for node in self.alive)

    def _stop(self) -> None:
        with suppress(apsw.IOError):
            self.run(self.store.close())

    def _open(self) -> SqliteStore:
        return self.run(SqliteStore.open(self._path, clock=self.clock, inline=True, vfs=_DISK))


def new_image(folder: Path) -> Image:
    """A closed store with two businesses, of two integrations and of one."""
    disk, clock = Disk(_DISK), Clock()
    asyncio.run(_furnish(folder / "ringback.db", clock))
    disk.unregister()
    return disk.image


async def _furnish(path: Path, clock: Clock) -> None:
    store = await SqliteStore.open(path, clock=clock, inline=True, vfs=_DISK)
    for name, numbers in (("Acme", (1, 2)), ("Other", (3,))):
        business = await store.create_business(NewBusiness(name=name), change())
        for number in numbers:
            await store.create_integration(integration(business.business_id, number), change())
    await store.close()


def _predicted(effect: Effect, expected: Reference, found: Reference) -> object:
    try:
        return effect(expected, found)
    except _REFUSALS as refusal:
        return type(refusal)
