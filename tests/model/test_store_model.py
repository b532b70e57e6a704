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
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from ringback.errors import Poisoned
from ringback.match import EMPTY, Snapshot
from ringback.model import LEGAL_MOVES, DeliveryState, IntegrationState, Leased, Node
from ringback.store.port import Accepted, DeliveryFilter, NewEvent
from ringback.store.sqlite import transaction
from tests.builders import change, integration, leased_of
from tests.model import draws
from tests.model.counts import counts_of
from tests.model.power_cut import Moment
from tests.model.reference import Reference, by_lane
from tests.model.world import Ending, Image, World, new_image

EXAMPLES = os.environ.get("MODEL_EXAMPLES")
SETTINGS = settings(
    max_examples=int(EXAMPLES or 100),
    stateful_step_count=50,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# So that a history of a few dozen commits has checkpoints too.
CHECKPOINT_PAGES, TRUNCATE_PAGES = 60, 150
SHOWN_STATES = (*DeliveryState, "held")
UNKNOWN_LANE = 7
MOST_NODES = 3

few = st.integers(1, 4)
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
        """With some work, whatever rules this history goes by."""
        for _ in range(3):
            self.accept(dice)

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

    @precondition(lambda self: self.hands)
    @rule(dice=dice)
    def record(self, dice: Random) -> None:
        node = self._node_with_a_hand(dice)
        own = [self.reference.leased(row) for row in sorted(self.reference.leased_to([node]))]
        results = draws.results(dice, own, self.hands[node], self.now)
        self.world.perform(self.world.store.record(results, node), lambda to, _: to.record(results, node))

    @rule(dice=dice)
    def record_test(self, dice: Random) -> None:
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

    @rule(limit=few)
    def rescue(self, limit: int) -> None:
        alive = frozenset(self.world.alive)
        self.world.perform(self.world.store.rescue(limit), lambda to, found: to.rescue(limit, alive, found))

    # -- what people do

    @precondition(lambda self: self.reference.deliveries)
    @rule(dice=dice)
    def retry_by_hand(self, dice: Random) -> None:
        row, now = draws.delivery(dice, self.reference), self.now
        business_id = self.reference.deliveries[row].business_id
        self.world.perform(
            self.world.store.retry_delivery(business_id, row, change(at=now)),
            lambda to, _: to.retry_delivery(row, now),
            told=lambda shown: shown.state,
        )

    @precondition(lambda self: self.reference.deliveries)
    @rule(dice=dice)
    def cancel_by_hand(self, dice: Random) -> None:
        row, now = draws.delivery(dice, self.reference), self.now
        business_id = self.reference.deliveries[row].business_id
        self.world.perform(
            self.world.store.cancel_delivery(business_id, row, change(at=now)),
            lambda to, _: to.cancel_delivery(row, now),
            told=lambda shown: shown.state,
        )

    @rule(dice=dice, state=st.sampled_from(IntegrationState))
    def pause_disable_or_resume(self, dice: Random, state: IntegrationState) -> None:
        business_id, lane = draws.integration(dice, self.reference)
        read = self.world.run(self.world.store.get_integration(business_id, lane))
        changed = replace(read, state=state, version=read.version - draws.chance(dice, 0.1))
        self.world.perform(
            self.world.store.save_integration(changed, change(at=self.now)),
            lambda to, found: to.save_integration(lane, state, changed.version, found),
            told=lambda saved: (saved.state, saved.version),
        )

    @rule(dice=dice, enabled=st.booleans())
    def disable_or_enable_business(self, dice: Random, enabled: bool) -> None:
        business_id = draws.business(dice, self.reference)
        read = self.world.run(self.world.store.get_business(business_id))
        self.world.perform(
            self.world.store.save_business(replace(read, enabled=enabled), change(at=self.now)),
            lambda to, found: to.save_business(business_id, enabled, found),
            told=lambda saved: saved.enabled,
        )

    @rule(dice=dice)
    def delete(self, dice: Random) -> None:
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

    @rule(limit=few)
    def finish_cancellations(self, limit: int) -> None:
        now = self.now
        self.world.perform(
            self.world.store.finish_cancellations(limit, now),
            lambda to, found: to.finish_cancellations(limit, now, found),
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

    @rule(
        moment=st.sampled_from(Moment),
        far=st.integers(1, 30),
        ending=st.sampled_from([Ending.KILLED, Ending.POWER_CUT]),
        dice=dice,
    )
    def end_within_a_verb_to_come(self, moment: Moment, far: int, ending: Ending, dice: Random) -> None:
        count = far if moment is Moment.AFTER_CHANGE else 1 + far // 16
        self.world.end_at(moment, count, ending, dice)

    # -- what is read

    @rule(limit=few)
    def read(self, limit: int) -> None:
        self._due_lanes_are_found()
        self._lists_by_state_have_every_delivery_once(limit)
        self._events_are_shown_with_their_deliveries()
        self._the_snapshot_knows_what_is_open()

    def _due_lanes_are_found(self) -> None:
        due_at = {
            lane: at
            for lane in self.reference.integrations
            if not self.reference.is_held(lane) and (at := self.reference.first_due(lane)) is not None
        }
        found = self.world.run(self.world.store.due_lanes(self.now, 100))
        assert {lane for lane, at in due_at.items() if at <= self.now} <= set(found.due)
        assert not any(self.reference.is_held(lane) for lane in found.due)
        later = [at for lane, at in due_at.items() if lane not in found.due]
        assert not later or (found.next_due is not None and found.next_due <= min(later))

    def _lists_by_state_have_every_delivery_once(self, limit: int) -> None:
        for business_id in self.reference.businesses:
            shown = sorted(
                (row, self.reference.shown_state(row))
                for row, one in self.reference.deliveries.items()
                if one.business_id == business_id
            )
            listed = [(row, state) for state in SHOWN_STATES for row in self._walk(business_id, state, limit)]
            assert sorted(listed) == shown

    def _walk(self, business_id: int, state: str, limit: int) -> list[int]:
        """All pages of a list, newest first."""
        rows: list[int] = []
        before: int | None = None
        while True:
            page = self.world.run(
                self.world.store.list_deliveries(business_id, DeliveryFilter(state=state), limit, before)
            )
            rows += [one.delivery_id for one in page.items]
            before = page.next_before
            if before is None:
                assert rows == sorted(rows, reverse=True)
                return rows

    def _events_are_shown_with_their_deliveries(self) -> None:
        for row, event in self.reference.events.items():
            message = event.message
            verb = self.world.store.get_event(message.business_id, message.event_id)
            shown, deliveries = self.world.run(verb)
            assert (shown.row_id, shown.data, shown.deliveries) == (row, message.data, event.fanout)
            assert [one.delivery_id for one in deliveries] == [*range(row + 1, row + 1 + event.fanout)]

    def _the_snapshot_knows_what_is_open(self) -> None:
        self.snapshot = self.world.run(self.world.store.snapshot(self.snapshot))
        assert self.snapshot.version == self.reference.configuration
        lanes = self.reference.integrations
        assert set(self.snapshot.open) == {lane for lane in lanes if not self.reference.is_held(lane)}

    # -- what always holds

    @invariant()
    def deliveries_move_legally(self) -> None:
        before = self.world.before.reference.deliveries
        for row, one in self.reference.deliveries.items():
            if row in before and before[row].state is not one.state:
                assert one.state in LEGAL_MOVES[before[row].state]

    @invariant()
    def every_event_has_its_deliveries(self) -> None:
        owed = {
            row + place: row
            for row, event in self.reference.events.items()
            for place in range(1, event.fanout + 1)
        }
        assert owed == {row: one.event_row for row, one in self.reference.deliveries.items()}

    @invariant()
    def lanes_are_held_as_they_should_and_never_late(self) -> None:
        assert set(self.world.found.lanes) == set(self.reference.integrations)
        for row, lane in self.world.found.lanes.items():
            first_due = self.reference.first_due(row)
            assert lane.held == self.reference.is_held(row)
            assert lane.deleted == self.reference.integrations[row].deleted
            assert first_due is None or (lane.due_at is not None and lane.due_at <= first_due)

    @invariant()
    def rollups_are_what_the_rows_say(self) -> None:
        assert self.world.found.counts == counts_of(self.reference)

    @invariant()
    def the_queue_is_as_deep_as_the_sums_say(self) -> None:
        depth = self.world.run(self.world.store.queue_depth(self.now))
        assert depth == self.reference.queue_depth(self.now)

    @invariant()
    def nodes_know_what_they_lease(self) -> None:
        for node in self.world.alive:
            own = self.world.run(self.world.store.own_sending(node))
            assert own == self.reference.leased_to([node])

    # -- choices

    def _fresh_id(self) -> str:
        return f"evt_fresh_{next(self._numbers)}"

    def _node(self, dice: Random) -> Node:
        return dice.choice(self.world.alive)

    def _node_with_a_hand(self, dice: Random) -> Node:
        """Mostly one that still lives."""
        alive = [node for node in self.hands if node in self.world.alive]
        return dice.choice(alive if alive and draws.chance(dice, 0.8) else list(self.hands))

    def _hand_over(self, node: Node, new: NewEvent, accepted: Accepted, now: int) -> None:
        places = [place for place, target in enumerate(new.targets) if target.direct]
        if places and not accepted.duplicate:
            self._give(node, (leased_of(new, accepted, now, place) for place in places))

    def _give(self, node: Node, leased: Iterable[Leased]) -> None:
        self.hands.setdefault(node, []).extend(leased)


def without_poison(answers: Sequence[list[Accepted] | Poisoned]) -> list[list[Accepted] | None]:
    return [None if isinstance(answer, Poisoned) else answer for answer in answers]


def test_the_store_holds_what_the_reference_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "_CHECKPOINT_PAGES", CHECKPOINT_PAGES)
    monkeypatch.setattr(transaction, "_TRUNCATE_PAGES", TRUNCATE_PAGES)
    image = new_image(tmp_path)

    class Machine(StoreMachine):
        def __init__(self) -> None:
            super().__init__(tmp_path, image)

    run_state_machine_as_test(Machine, settings=SETTINGS)
