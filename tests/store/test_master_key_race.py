"""The master key is replaced while people rotate secrets and change headers: their last word stays."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from random import Random

import msgspec
import pytest

from ringback.errors import Conflict
from ringback.keyring import (
    KeyRing,
    create_key_file,
    headers_owner,
    new_master_key,
    read_key_file,
    replace_key_file,
    secret_owner,
)
from ringback.masterkey import keys_in_use, reseal, sealed_values
from ringback.match import EMPTY
from ringback.model import Integration
from ringback.store.port import Store
from tests.builders import Clock, Tenant, a_tenant, change, secret


class Rounds:
    """Lets others wait for the end of a replacement."""

    def __init__(self) -> None:
        self.over = False
        self._end = asyncio.Event()

    def ended(self, *, last: bool) -> None:
        self.over = last
        self._end.set()
        self._end = asyncio.Event()

    async def next_end(self) -> None:
        if not self.over:
            await self._end.wait()


class Editor:
    """Somebody who changes what an integration has sealed, with a ring of their own on the key file."""

    def __init__(self, tenant: Tenant, place: int, key_file: Path, rounds: Rounds, seed: int) -> None:
        self.tenant = tenant
        self.place = place
        self.keyring = KeyRing(read_key_file(key_file), lambda: read_key_file(key_file))
        self.rounds = rounds
        self.random = Random(seed)
        self.numbers = count(1_000 * (place + 1))
        self.last: bytes | None = None

    async def edit(self) -> None:
        """Replaces both values, after a look whether they are as they were left."""
        while True:
            read = await self._read()
            number = next(self.numbers)
            plain = f"content {number}".encode()
            sealed = self.keyring.seal(plain, secret_owner(number))
            headers = self.keyring.seal(plain, headers_owner(read.integration_id))
            if self.last is not None and self.random.random() < 0.2:
                # By then the key of before is gone from the file.
                await self.rounds.next_end()
                await self.rounds.next_end()
            one = msgspec.structs.replace(secret(number), sealed=sealed)
            changed = msgspec.structs.replace(read, secrets=(one,), sealed_headers=headers)
            try:
                await self.tenant.store.save_integration(changed, change())
            except Conflict:
                continue
            self.last = plain
            return

    async def _read(self) -> Integration:
        read = await self.tenant.store.get_integration(self.tenant.id, self.tenant.lanes[self.place])
        if self.last is not None:
            assert read.sealed_headers is not None
            owners = secret_owner(read.secrets[0].secret_id), headers_owner(read.integration_id)
            for sealed, owner in zip((read.secrets[0].sealed, read.sealed_headers), owners, strict=True):
                assert self.keyring.open(sealed, owner) == self.last
        return read


async def replace(store: Store, key_file: Path) -> None:
    replace_key_file(key_file, [new_master_key(), *read_key_file(key_file)[:1]])
    ring = KeyRing(read_key_file(key_file))
    await store.retire_keys(ring.key_ids[0], ring.key_ids[1:], change())
    while set(keys_in_use(await store.snapshot(EMPTY))) != {ring.key_ids[0]}:
        await reseal(store, ring, change())
    replace_key_file(key_file, read_key_file(key_file)[:1])


@pytest.fixture
def database(quick_folder: Path) -> Path:
    return quick_folder / "ringback.db"


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_that_was_written_is_lost(store: Store, quick_folder: Path, seed: int) -> None:
    key_file = quick_folder / "master.key"
    create_key_file(key_file)
    tenant = await a_tenant(store, Clock(), integrations=4)
    await store.leave(tenant.node)
    rounds = Rounds()
    editors = [Editor(tenant, place, key_file, rounds, seed * 10 + place) for place in range(4)]
    for editor in editors:
        await editor.edit()

    async def keep_editing(editor: Editor) -> None:
        while not rounds.over:
            await editor.edit()

    async def keep_replacing() -> None:
        for left in reversed(range(8)):
            await replace(store, key_file)
            rounds.ended(last=not left)

    await asyncio.gather(keep_replacing(), *map(keep_editing, editors))

    (key,) = read_key_file(key_file)
    snapshot = await store.snapshot(EMPTY)
    assert set(keys_in_use(snapshot)) == set(KeyRing([key]).key_ids)
    opened = [KeyRing([key]).open(one.sealed, one.owner) for one in sealed_values(snapshot)]
    assert sorted(opened) == sorted(editor.last or b"" for editor in [*editors, *editors])
