"""Who is dead, by a watcher's own time."""

import math

from elihu.engines.protocol import Peer
from elihu.runtime.membership.failure_detector import FailureDetector

HEARTBEAT, DEAD_AFTER = 5.0, 20.0


def standing(beat: int = 7) -> list[Peer]:
    return [Peer("other", beat, False)]


def watch() -> FailureDetector:
    return FailureDetector(heartbeat=HEARTBEAT, dead_after=DEAD_AFTER)


def test_a_heartbeat_unchanged_for_dead_after_is_a_death():
    seen = watch()
    assert [seen.observe(at, standing()) for at in (0, 5, 10, 15)] == [[], [], [], []]
    assert seen.observe(19.9, standing()) == []
    assert seen.observe(20, standing()) == standing()


def test_a_changed_heartbeat_restarts_the_count():
    seen = watch()
    for at in (0, 5, 10, 15):
        seen.observe(at, standing())
    assert seen.observe(19, standing(8)) == []
    assert [seen.observe(at, standing(8)) for at in (24, 29, 34, 38.9)] == [[], [], [], []]
    assert seen.observe(39, standing(8)) == standing(8)


def test_a_beat_that_goes_back_counts_as_moving():
    seen = watch()
    for at in (0, 5, 10, 15):
        seen.observe(at, standing(8))
    assert seen.observe(20, standing(1)) == []


def test_a_failed_read_restarts_the_count():
    seen = watch()
    for at in (0, 5, 10, 15):
        seen.observe(at, standing())
    seen.reset()
    assert seen.observe(20, standing()) == []
    assert [seen.observe(at, standing()) for at in (25, 30, 35)] == [[], [], []]
    assert seen.observe(40, standing()) == standing()


def test_a_watcher_that_was_frozen_believes_nothing_it_did_not_see():
    seen = watch()
    seen.observe(0, standing())
    assert seen.observe(3_600, standing()) == []
    assert seen.observe(3_605, standing()) == []


def test_the_next_check_is_the_very_moment_of_a_possible_death():
    seen = watch()
    assert seen.next_check() == math.inf
    seen.observe(3, standing())
    assert seen.next_check() == 3 + DEAD_AFTER
    seen.observe(5, [*standing(), Peer("newer", 1, False)])
    assert seen.next_check() == 3 + DEAD_AFTER
    seen.observe(6, [Peer("newer", 1, False)])
    assert seen.next_check() == 5 + DEAD_AFTER


def test_an_engine_that_holds_locks_is_believed_at_once():
    assert watch().observe(0, [Peer("a", None, True), Peer("b", None, False)]) == [
        Peer("a", None, True)
    ]
