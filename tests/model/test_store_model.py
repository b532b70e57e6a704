"""Whatever happens to the store, in whatever order, it holds what plain dictionaries hold.

The machine does random things to both: publishes, claims, results, releases, changes of configuration,
steps of the clock, and ends of the process (closed, killed, power cut) between verbs and within them.
`MODEL_EXAMPLES=2000` runs that many new histories; without it the same few run each time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from ringback.errors import Poisoned
from ringback.match import EMPTY, Snapshot
from ringback.model import FINISHED, WAITING, DeliveryState, IntegrationState, Leased, Node
from ringback.store.port import Accepted, NewEvent
from ringback.store.sqlite import transaction
from tests.builders import change, integration, leased_of
from tests.model import draws, holds
from tests.model.power_cut import Moment
from tests.model.reference import Reference, by_lane
from tests.model.world import Ending, Image, World, new_image

EXAMPLES = os.environ.get("MODEL_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 150),
    stateful_step_count=30,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# So that a history of a few dozen commits has checkpoints too.
CHECKPOINT_PAGES, TRUNCATE_PAGES = 60, 150
RETRIED = {*FINISHED, DeliveryState.RETRYING}
STANDINGS = {"holds": 6, "followed": 3, "old": 1}
UNKNOWN_LANE = 7
MOST_NODES = 3

dice = st.randoms(use_true_random=True)


class StoreMachine(RuleBasedStateMachine):
    """`hands`: what each life of a node was ever given to send, whether it still may or not."""

    def __init__(self, folder: Path, image: Image) -> None:
        super().__init__()
        self.world = World(folder, image)
        self.hands: dict[Node, list[Leased]] = {}
        self.snapshot: Snapshot = EMPTY
        self._numbers = count(100)

    @property
    def reference(self) -> Reference:
        return self.world.reference

    @property
    def now(self) -> int:
        return self.world.clock()

    def teardown(self) -> None:
        self.world.finish()

    # -- the path of an event

    @initialize(dice=dice)
    def begin(self, dice: Random) -> None:
        self.carry_on(dice)

    @rule(dice=dice)
    def carry_on(self, dice: Random) -> None:
        """A while of ordinary work, most of it on the path of an event."""
        often = [self.accept, *[self.claim] * 2, *[self.record] * 4]
        by_hand = [*[self.retry_by_hand] * 2, *[self.cancel_by_hand] * 2]
        seldom = [*by_hand, self.release, self.keep_up, self.reconfigure, self.join_or_leave]
        for _ in range(15):
            if draws.chance(dice, 0.03):
                self.end_within_a_verb_to_come(dice)
            self.world.clock.pass_ms(dice.choice([0, 700, 6_000, 130_000]))
            dice.choice(often if draws.chance(dice, 0.7) else seldom)(dice)
            self.what_must_hold_holds()

    @rule(dice=dice)
    def accept(self, dice: Random) -> None:
        publishes = draws.publishes(dice, self.reference, self._fresh_id)
        version = self.reference.configuration - draws.chance(dice, 0.05)
        node, now = self._node(dice), self.now
        answers = self.world.perform(
            self.world.store.accept(publishes, version, node, now),
            lambda to, found: to.accept(publishes, version, node, now, found),
            told=without_poison,
        )
        for publish, answer in zip(publishes, without_poison(answers or []), strict=False):
            for new, accepted in zip(publish, answer or (), strict=False):
                self._hand_over(node, new, accepted, now)

    @rule(dice=dice)
    def claim(self, dice: Random) -> None:
        quotas = draws.quotas(dice, {UNKNOWN_LANE, *self.reference.integrations})
        node, now = self._node(dice), self.now
        claimed = self.world.perform(
            self.world.store.claim(quotas, node, now),
            lambda to, _: to.claim(quotas, node, now),
            told=lambda claimed: (by_lane(claimed.leased), dict(claimed.next_due)),
        )
        if claimed is not None and claimed.leased:
            self._give(node, claimed.leased)

    @rule(dice=dice)
    def record(self, dice: Random) -> None:
        if draws.chance(dice, 0.1):
            self._record_test(dice)
        elif self.hands:
            self._record_attempts(dice)

    def _record_attempts(self, dice: Random) -> None:
        node, leased = self._some_of_a_hand(dice)
        results = [draws.result_of(dice, one, self.now) for one in leased]
        self.world.perform(self.world.store.record(results, node), lambda to, _: to.record(results, node))

    def _record_test(self, dice: Random) -> None:
        now = self.now
        result = draws.finished_test(dice, self.reference, self._fresh_id(), now)
        message = result.leased.message
        self.world.perform(
            self.world.store.record_test(message, result, now),
            lambda to, found: to.record_test(message, result, now, found),
        )

    @rule(dice=dice)
    def release(self, dice: Random) -> None:
        node = self._node(dice)
        own = self.reference.leased_to([node])
        rows = draws.some(dice, own or self.reference.deliveries)
        self.world.perform(self.world.store.release(rows, node), lambda to, _: to.release(rows, node))

    @rule(dice=dice)
    def keep_up(self, dice: Random) -> None:
        """What a node does now and then for all."""
        alive, now, limit = frozenset(self.world.alive), self.now, dice.choice([1, 2, 100])
        self.world.perform(self.world.store.rescue(limit), lambda to, found: to.rescue(limit, alive, found))
        self.world.perform(
            self.world.store.finish_cancellations(limit, now),
            lambda to, found: to.finish_cancellations(limit, now, found),
        )
        # How much of it there was is the store's own affair.
        self.world.perform(self.world.store.fold_statistics(limit, now), lambda *_: None, told=lambda _: None)

    # -- what people do

    @rule(dice=dice)
    def retry_by_hand(self, dice: Random) -> None:
        if not self.reference.deliveries:
            return
        row, now = draws.delivery(dice, self.reference, RETRIED), self.now
        business_id = self.reference.deliveries[row].business_id
        self.world.perform(
            self.world.store.retry_delivery(business_id, row, change(at=now)),
            lambda to, _: to.retry_delivery(row, now),
            told=lambda shown: shown.state,
        )

    @rule(dice=dice)
    def cancel_by_hand(self, dice: Random) -> None:
        if not self.reference.deliveries:
            return
        row, now = draws.delivery(dice, self.reference, WAITING), self.now
        business_id = self.reference.deliveries[row].business_id
        self.world.perform(
            self.world.store.cancel_delivery(business_id, row, change(at=now)),
            lambda to, _: to.cancel_delivery(row, now),
            told=lambda shown: shown.state,
        )

    @rule(dice=dice)
    def reconfigure(self, dice: Random) -> None:
        act = dice.choice([self._set_state, self._set_state, self._enable_business, self._delete])
        act(dice)

    def _set_state(self, dice: Random) -> None:
        """Of an integration: paused, disabled or active again."""
        state = dice.choice([*IntegrationState, IntegrationState.ACTIVE])
        business_id, lane = draws.integration(dice, self.reference)
        read = self.world.run(self.world.store.get_integration(business_id, lane))
        changed = replace(read, state=state, version=read.version - draws.chance(dice, 0.1))
        self.world.perform(
            self.world.store.save_integration(changed, change(at=self.now)),
            lambda to, found: to.save_integration(lane, state, changed.version, found),
            told=lambda saved: (saved.state, saved.version),
        )

    def _enable_business(self, dice: Random) -> None:
        enabled = draws.chance(dice, 0.7)
        business_id = draws.business(dice, self.reference)
        read = self.world.run(self.world.store.get_business(business_id))
        self.world.perform(
            self.world.store.save_business(replace(read, enabled=enabled), change(at=self.now)),
            lambda to, found: to.save_business(business_id, enabled, found),
            told=lambda saved: saved.enabled,
        )

    def _delete(self, dice: Random) -> None:
        """An integration, once another one is there to take its place, or a business with all of its."""
        business_id, lane = draws.integration(dice, self.reference)
        owners = [one for one in self.reference.businesses.values() if not one.deleted]
        if draws.chance(dice, 0.1) and len(owners) > 1:
            self._delete_business(business_id)
            return
        self._create_integration(business_id)
        if len(self.reference.lanes(business_id)) > 1:
            self._delete_integration(business_id, lane)

    def _delete_integration(self, business_id: int, lane: int) -> None:
        self.world.perform(
            self.world.store.delete_integration(business_id, lane, change(at=self.now)),
            lambda to, found: to.delete_integration(lane, found),
        )

    def _delete_business(self, business_id: int) -> None:
        self.world.perform(
            self.world.store.delete_business(business_id, change(at=self.now)),
            lambda to, found: to.delete_business(business_id, found),
        )

    def _create_integration(self, business_id: int) -> None:
        new = integration(business_id, next(self._numbers), at=self.now)
        self.world.perform(
            self.world.store.create_integration(new, change(at=self.now)),
            lambda to, found: to.create_integration(new.integration_id, business_id, found),
            told=lambda created: created.integration_id,
        )

    # -- time, lives and their ends

    @rule(ms=st.sampled_from([700, 6_000, 130_000, 3_600_000, -1_000, -3_600_000]))
    def step_the_clock(self, ms: int) -> None:
        self.world.clock.pass_ms(ms)

    @rule(dice=dice)
    def join_or_leave(self, dice: Random) -> None:
        if len(self.world.alive) < MOST_NODES and draws.chance(dice, 0.5):
            self.world.join()
        elif len(self.world.alive) > 1:
            node = self._node(dice)
            self.world.alive.remove(node)
            self.world.perform(self.world.store.leave(node), lambda *_: None)

    @rule(ending=st.sampled_from(Ending), dice=dice)
    def restart(self, ending: Ending, dice: Random) -> None:
        self.world.restart(ending, dice)

    @rule(dice=dice)
    def end_within_a_verb_to_come(self, dice: Random) -> None:
        moment = dice.choice([*Moment])
        count = dice.randint(1, 40 if moment is Moment.AFTER_CHANGE else 3)
        self.world.end_at(moment, count, dice.choice([Ending.KILLED, Ending.POWER_CUT]), dice)

    # -- what is read, and what always holds

    @rule(limit=st.integers(1, 4), dice=dice)
    def read(self, limit: int, dice: Random) -> None:
        holds.due_lanes_are_found(self.world)
        holds.lists_by_state_have_every_delivery_once(self.world, limit)
        holds.events_are_shown_with_their_deliveries(self.world)
        holds.charts_show_what_the_rows_say(self.world, dice)
        holds.what_waits_is_counted(self.world)
        self.snapshot = holds.the_snapshot_knows_what_is_open(self.world, self.snapshot)

    @invariant()
    def what_must_hold_holds(self) -> None:
        holds.deliveries_move_legally(self.world)
        holds.every_event_has_its_deliveries(self.world)
        holds.lanes_are_held_as_they_should_and_never_late(self.world)
        holds.rollups_are_what_the_rows_say(self.world)
        holds.the_queue_is_as_deep_as_the_sums_say(self.world)
        holds.nodes_know_what_they_lease(self.world)

    # -- choices

    def _fresh_id(self) -> str:
        return f"evt_fresh_{next(self._numbers)}"

    def _node(self, dice: Random) -> Node:
        return dice.choice(self.world.alive)

    def _some_of_a_hand(self, dice: Random) -> tuple[Node, list[Leased]]:
        """Mostly leases that hold; else such that others have followed, and old ones. Some twice."""
        hands = [(node, one) for node, hand in self.hands.items() for one in hand]
        by_standing: dict[str, list[tuple[Node, Leased]]] = {}
        for node, one in hands:
            by_standing.setdefault(self._standing(node, one), []).append((node, one))
        weights = [STANDINGS[standing] for standing in by_standing]
        node, first = dice.choice(dice.choices(list(by_standing.values()), weights)[0])
        others = [one for other, one in hands if other == node]
        return node, [first, *dice.choices(others, k=dice.randint(0, 3))]

    def _standing(self, node: Node, leased: Leased) -> str:
        delivery = self.reference.deliveries[leased.delivery_id]
        if delivery.lease is None:
            return "old"
        return "holds" if (delivery.lease, delivery.attempts) == (node, leased.attempts) else "followed"

    def _hand_over(self, node: Node, new: NewEvent, accepted: Accepted, now: int) -> None:
        places = [place for place, target in enumerate(new.targets) if target.direct]
        if places and not accepted.duplicate:
            self._give(node, (leased_of(new, accepted, now, place) for place in places))

    def _give(self, node: Node, leased: Iterable[Leased]) -> None:
        self.hands.setdefault(node, []).extend(leased)


def without_poison(answers: Sequence[list[Accepted] | Poisoned]) -> list[list[Accepted] | None]:
    return [None if isinstance(answer, Poisoned) else answer for answer in answers]


# Shrinking a failure takes its time, and so do more examples.
@pytest.mark.timeout(3_600)
def test_the_store_holds_what_the_reference_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "_CHECKPOINT_PAGES", CHECKPOINT_PAGES)
    monkeypatch.setattr(transaction, "_TRUNCATE_PAGES", TRUNCATE_PAGES)
    image = new_image(tmp_path)

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(tmp_path, image)

    run_state_machine_as_test(Machine, settings=SETTINGS)
