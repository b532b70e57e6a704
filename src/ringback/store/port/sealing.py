"""What is sealed at rest: its life, its disclosure, and the master keys it is sealed with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Protocol

from ringback.model import Node, Secret, Value
from ringback.store.port.configuration import Change


class Sealed(StrEnum):
    """What a sealed value is, and so which row has it."""

    SECRET = "secret"
    HEADERS = "headers"


class Resealed(Value, frozen=True, kw_only=True):
    """The same content, sealed anew. `row_id`: of the secret, or of the integration that has the headers."""

    kind: Sealed
    row_id: int
    before: bytes
    after: bytes


class Sealing(Protocol):
    """A retired master key opens what it sealed, and nothing new is sealed with it: whatever would write such
    a value raises Conflict.
    """

    async def reveal_secrets(
        self, business_id: int, integration_id: int, change: Change
    ) -> tuple[Secret, ...]:
        """An integration's secrets, once it is written down who asked. Raises NotFound, Conflict."""
        ...

    async def expire_secrets(self, limit: int, change: Change) -> int:
        """Delete up to `limit` outgoing secrets whose time is over at `change.at`; 0 when none are left."""
        ...

    async def announce_keys(self, node: Node, key_ids: Sequence[bytes]) -> None:
        """Write down which master keys this node has. Raises ConfigurationError where the one it seals with,
        the first, is retired.
        """
        ...

    async def retire_keys(self, sealing: bytes, retired: Collection[bytes], change: Change) -> None:
        """From now on nothing is sealed with these. Raises Conflict where a living node does not seal with
        `sealing` yet.
        """
        ...

    async def reseal(self, values: Sequence[Resealed], change: Change) -> int:
        """Replace what is still as it was before; how many that were."""
        ...
