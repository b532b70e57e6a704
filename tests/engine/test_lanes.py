"""Slots, lanes and turns, without anything running."""

from __future__ import annotations

from collections import Counter
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from ringback.engine.lanes import CLAIM_CHUNK, Lanes

NOW = 1_000_000


def fresh(window: int = 100) -> Lanes:
    lanes = Lanes(window)
    lanes.know_backlogs(())
    return lanes


def cap_10(_: int) -> int:
    return 10


def _constant(cap: int, _: int) -> int:
    return cap


def test_a_direct_slot_is_given_up_to_the_lanes_cap() -> None:
    lanes = fresh()
    assert [lanes.take(1, 3, NOW) for _ in range(4)] == [True, True, True, False]


def test_one_lane_never_fills_the_window() -> None:
    lanes = fresh(window=10)
    taken = sum(lanes.take(1, 1_000, NOW) for _ in range(50))
    assert taken == 5
    assert lanes.take(2, 1_000, NOW)


def test_after_a_start_every_lane_is_assumed_to_have_a_backlog() -> None:
    lanes = Lanes(100)
    assert not lanes.take(1, 10, NOW)
    lanes.know_backlogs([2])
    assert not lanes.take(2, 10, NOW)
    assert lanes.take(3, 10, NOW)


def test_what_queued_before_the_first_look_keeps_its_lane_closed() -> None:
    lanes = Lanes(100)
    lanes.take(1, 10, NOW)
    lanes.know_backlogs(())
    assert not lanes.take(1, 10, NOW)


def test_new_work_queues_behind_an_overflow_until_a_claim_comes_back_empty() -> None:
    lanes = fresh()
    lanes.take(1, 1, NOW)
    assert not lanes.take(1, 1, NOW)
    lanes.answered(1)
    lanes.recorded(1)
    assert not lanes.take(1, 1, NOW), "a free slot must not let new work overtake what is queued"
    grant = lanes.grant(cap_10, NOW)
    assert grant is not None
    lanes.settle(grant, {1: 2}, {1: None}, NOW)
    assert lanes.take(1, 10, NOW)


def test_an_overflow_during_a_claim_is_not_forgotten_by_it() -> None:
    lanes = fresh()
    lanes.queue_behind(1)
    grant = lanes.grant(cap_10, NOW)
    assert grant is not None
    lanes.queue_behind(1)
    lanes.settle(grant, {}, {1: None}, NOW)
    assert not lanes.take(1, 10, NOW)
    assert lanes.has_due


def test_a_retry_closes_the_direct_path_only_once_it_is_due() -> None:
    lanes = fresh()
    lanes.waits(1, NOW + 5_000)
    assert lanes.take(1, 10, NOW)
    assert not lanes.take(1, 10, NOW + 5_000)


def test_a_waiting_lane_gets_its_turn_when_its_time_comes() -> None:
    lanes = fresh()
    lanes.waits(1, NOW + 5_000)
    assert lanes.next_timer() == NOW + 5_000
    assert lanes.grant(cap_10, NOW + 4_999) is None
    grant = lanes.grant(cap_10, NOW + 5_000)
    assert grant is not None
    assert grant.quotas == {1: 10}


def test_the_lanes_slot_is_free_at_the_answer_and_the_windows_at_the_record() -> None:
    lanes = fresh(window=2)
    assert lanes.take(1, 1, NOW)
    lanes.answered(1)
    assert lanes.take(1, 1, NOW)
    lanes.answered(1)
    assert not lanes.take(2, 1, NOW), "two results wait to be recorded: the window is full"
    lanes.recorded(1)
    lanes.queue_behind(2)
    assert lanes.grant(cap_10, NOW) is not None


def test_a_held_lane_gets_no_turn_and_stays_closed_to_new_work() -> None:
    lanes = fresh()
    lanes.queue_behind(1)
    assert lanes.grant(lambda _: 0, NOW) is None
    assert not lanes.has_due
    assert not lanes.take(1, 10, NOW)
    lanes.queue_behind(1)
    assert lanes.grant(cap_10, NOW) is not None


def test_a_failed_claim_gives_its_slots_back() -> None:
    lanes = fresh(window=10)
    lanes.queue_behind(1)
    grant = lanes.grant(cap_10, NOW)
    assert grant is not None
    lanes.give_up(grant)
    assert lanes.window_in_use == 0
    assert lanes.grant(cap_10, NOW) is not None


def test_every_due_lane_gets_some_before_any_gets_many() -> None:
    lanes = fresh(window=100)
    for lane_id in range(1, 51):
        lanes.queue_behind(lane_id)
    grant = lanes.grant(lambda _: 50, NOW)
    assert grant is not None
    assert set(grant.quotas) == set(range(1, 51))
    assert set(grant.quotas.values()) == {2}


def test_with_more_lanes_than_slots_they_take_turns() -> None:
    lanes = fresh(window=10)
    for lane_id in range(100):
        lanes.queue_behind(lane_id)
    turns: Counter[int] = Counter()
    for _ in range(50):
        grant = lanes.grant(cap_10, NOW)
        assert grant is not None
        turns.update(grant.quotas)
        lanes.settle(grant, {}, dict.fromkeys(grant.quotas, NOW), NOW)
    assert set(turns.values()) == {5}


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 40), st.booleans()), max_size=200),
)
def test_slots_are_never_over_given_and_all_come_back(
    window: int, moves: list[tuple[int, int, bool]]
) -> None:
    lanes = fresh(window)
    held: Counter[int] = Counter()
    for lane_id, cap, direct in moves:
        if direct:
            held[lane_id] += lanes.take(lane_id, cap, NOW)
        elif (grant := lanes.grant(partial(_constant, cap), NOW)) is not None:
            assert max(grant.quotas.values()) <= CLAIM_CHUNK
            used = {lane: count // 2 for lane, count in grant.quotas.items()}
            lanes.settle(grant, used, dict.fromkeys(grant.quotas, NOW), NOW)
            held.update(used)
        assert lanes.window_in_use == held.total() <= window
    for lane_id, count in held.items():
        for _ in range(count):
            lanes.answered(lane_id)
        lanes.recorded(count)
    assert lanes.window_in_use == 0
