"""Whoever knows one of the secrets can rely on it for as long as was promised, whatever happens when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from standardwebhooks import Webhook, WebhookVerificationError

from ringback.clock import wall_ms
from ringback.engine.attempt import Attempts
from ringback.keyring import KeyRing, secret_owner
from ringback.model import AttemptResult, Integration, Leased, Message, Outcome, Secret, SecretState, Timings
from ringback.rotation import counting, finished, rotated
from ringback.send import Request
from ringback.signing import SigningKey, standard_secret, standard_signature
from tests import builders
from tests.engine.node import a_node
from tests.engine.staged import PATIENCE
from tests.zoo import Zoo
from tests.zoo.wire import Received

OLD, NEW = "the secret of before", "the secret of after"
NOON = 1_790_000_000_000


# ---------------------------------------------------------------- any order of events


class Post:
    """Stands in for the network: keeps the last request."""

    def __init__(self) -> None:
        self.last: Request | None = None

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        self.last = request
        done(Outcome(started_at=0, ended_at=0, timings=Timings(), status=200))


@dataclass
class Known:
    """What the owner of a secret was told about it."""

    text: str
    leaves_at: int | None = None


class Rotations(RuleBasedStateMachine):
    """Rotations, their ends, time and attempts; the sweep of expired rows comes whenever it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.keyring = KeyRing([bytes(32)])
        self.post = Post()
        self.attempts = Attempts(self.post, self.keyring, "ringback/test", jitter=lambda: 0.0)
        self.numbers = count(1)
        self.secrets: list[Known] = []
        self.integration = builders.integration(1, at=NOON, secrets=())
        self.integration = self._rotated(0)

    @property
    def current(self) -> Known:
        return self.secrets[-1]

    @property
    def outgoing(self) -> Known | None:
        if len(self.secrets) < 2:
            return None
        before = self.secrets[-2]
        return before if before.leaves_at is not None and before.leaves_at > self.now else None

    def _rotated(self, overlap_ms: int) -> Integration:
        number = next(self.numbers)
        self.secrets.append(Known(f"secret number {number}"))
        sealed = self.keyring.seal(self.current.text.encode(), secret_owner(number))
        new = msgspec.structs.replace(builders.secret(number, at=self.now), sealed=sealed)
        return rotated(self.integration, new, overlap_ms, self.now)

    @precondition(lambda self: self.outgoing is None)
    @rule(overlap_ms=st.integers(0, 5_000))
    def rotate(self, overlap_ms: int) -> None:
        self.current.leaves_at = self.now + overlap_ms
        self.integration = self._rotated(overlap_ms)

    @precondition(lambda self: self.outgoing is not None)
    @rule()
    def finish(self) -> None:
        self.secrets[-2].leaves_at = self.now
        self.integration = finished(self.integration, self.now)

    @rule()
    def sweep(self) -> None:
        kept = counting(self.integration.secrets, self.now)
        self.integration = msgspec.structs.replace(self.integration, secrets=kept)

    @rule(ms=st.integers(1, 3_000))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @invariant()
    def each_key_counts_for_as_long_as_promised(self) -> None:
        headers, body = self._attempt()
        standard = headers["webhook-signature"].split(" ")
        iqra = headers["X-Iqra-Signature"]
        outgoing = self.outgoing
        for known in self.secrets:
            key, signed_at = SigningKey(known.text), self.now // 1000
            verifies = standard_signature([key], "evt_1", signed_at, body) in standard
            assert verifies == (known is self.current or known is outgoing)
            assert (key.iqra_hex(body) == iqra) == (known is (outgoing or self.current))
        assert len(standard) == (1 if outgoing is None else 2)
        assert standard[0] == standard_signature(
            [SigningKey(self.current.text)], "evt_1", self.now // 1000, body
        )

    def _attempt(self) -> tuple[dict[str, str], bytes]:
        message = Message(
            event_id="evt_1", event_type="call.completed", business_id=1, timestamp=NOON, data=b"{}"
        )
        leased = Leased(
            delivery_id=1,
            integration_id=self.integration.integration_id,
            message=message,
            attempts=0,
            tries=0,
            due_at=self.now,
            created_at=self.now,
        )
        results: list[AttemptResult] = []
        self.attempts.start(leased, self.integration, self.now, results.append)
        assert self.post.last is not None
        return dict(self.post.last.headers), self.post.last.body


Rotations.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestRotations = Rotations.TestCase


# ---------------------------------------------------------------- a whole node, a real receiver


class Wall:
    """The wall's clock, which a test may put ahead within what signatures tolerate."""

    ahead_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.ahead_ms


def verifies(request: Received, secret: str) -> tuple[bool, bool]:
    """As `webhook-signature`, and as `X-Iqra-Signature`."""
    try:
        Webhook(standard_secret(secret)).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        standard = False
    else:
        standard = True
    return standard, SigningKey(secret).iqra_hex(request.body) == request.headers["x-iqra-signature"]


async def test_an_overlap_ends_by_itself_without_a_word_from_anybody(database: Path, zoo: Zoo) -> None:
    wall, path = Wall(), "ok?X-Rotation=ends"
    async with a_node(database, store={"clock": wall}) as node:
        to = await node.integration(zoo.url(path), secret=OLD)
        old = to.secrets[0]
        new = made(node.keyring.seal, old.secret_id + 50)
        now = node.store.now()
        await node.save(rotated(to, new, 60_000, now))
        version = node.live.current.version

        await node.publish(to, "evt_during")
        await node.watch.recorded(1)
        wall.ahead_ms = 61_000
        await node.publish(to, "evt_after")
        await node.watch.recorded(2)

        during, after = zoo.received_at(path)
        assert (verifies(during, OLD), verifies(during, NEW)) == ((True, True), (True, False))
        assert (verifies(after, OLD), verifies(after, NEW)) == ((False, False), (True, True))
        assert node.live.current.version == version
        signatures = [(await node.logged(one)).attempts[0].signatures for one in node.watch.results]
        assert signatures == [2, 1]


async def test_a_retry_and_a_replay_are_signed_as_of_their_own_moment(database: Path, zoo: Zoo) -> None:
    wall = Wall()
    async with a_node(database, store={"clock": wall}) as node:
        url = zoo.script("rotated-between", 500, 200)
        to = await node.integration(url, secret=OLD, retry_schedule=(70,))
        await node.save(rotated(to, made(node.keyring.seal, 7_000), 60_000, node.store.now()))
        await node.publish(to, "evt_1")
        (first,) = await node.watch.recorded(1)
        wall.ahead_ms = 75_000
        await node.watch.recorded(2)
        await node.retry_by_hand((await node.logged(first)).row)
        await node.watch.recorded(3)

        during, retry, replay = zoo.received_at("script/rotated-between")
        assert (verifies(during, OLD), verifies(during, NEW)) == ((True, True), (True, False))
        for later in (retry, replay):
            assert (verifies(later, OLD), verifies(later, NEW)) == ((False, False), (True, True))


async def test_upkeep_takes_the_expired_away(database: Path, zoo: Zoo) -> None:
    wall = Wall()
    async with a_node(database, store={"clock": wall}) as node:
        to = await node.integration(zoo.url("ok"), secret=OLD)
        new = made(node.keyring.seal, to.secrets[0].secret_id + 50)
        saved = await node.save(rotated(to, new, 60_000, node.store.now()))
        assert len(saved.secrets) == 2

        wall.ahead_ms = 61_000
        stored = saved
        async with asyncio.timeout(PATIENCE):
            while len(stored.secrets) == 2:
                stored = await node.store.get_integration(to.business_id, to.integration_id)

        assert [(one.secret_id, one.state) for one in stored.secrets] == [
            (new.secret_id, SecretState.CURRENT)
        ]
        assert stored.version == saved.version


def made(seal: Callable[[bytes, str], bytes], secret_id: int) -> Secret:
    sealed = seal(NEW.encode(), secret_owner(secret_id))
    return msgspec.structs.replace(builders.secret(secret_id), sealed=sealed)
