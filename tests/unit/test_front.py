"""Where a fetch begins, by the times that fetches took."""

from datetime import UTC, datetime

from elihu.engines.protocol import Position
from elihu.runtime.queue.front import INTERVAL, RECHECK, Front

REACHED = Position(0, datetime(2030, 1, 1, tzinfo=UTC), 7)


def read_front(front: Front, now: float, took: float, *, acks: bool = False) -> None:
    front.fetched(None, REACHED, now, took, acks=acks)


def read_twice(front: Front, now: float, took: float, *, acks: bool = False) -> None:
    read_front(front, now, took, acks=acks)
    read_front(front, now, took, acks=acks)


def read_behind(front: Front, now: float, took: float, *, acks: bool = False) -> None:
    front.fetched(REACHED, None, now, took, acks=acks)


def slow_front() -> Front:
    front = Front()
    read_twice(front, 0.0, 0.080)
    assert front.begin(0.1, acks=False) == REACHED
    read_behind(front, 0.1, 0.001)
    return front


def test_the_first_fetch_begins_at_the_front() -> None:
    assert Front().begin(0.0, acks=False) is None


def test_a_quick_front_is_always_read() -> None:
    front = Front()
    read_front(front, 0.0, 0.002)
    assert front.begin(0.1, acks=False) is None


def test_one_slow_fetch_is_no_slow_front() -> None:
    front = Front()
    read_front(front, 0.0, 0.080)
    assert front.begin(0.1, acks=False) is None
    read_front(front, 0.1, 0.001)
    read_front(front, 0.2, 0.080)
    assert front.begin(0.3, acks=False) is None


def test_a_slow_front_is_read_once_a_second() -> None:
    front = slow_front()
    assert front.begin(0.5, acks=False) == REACHED
    assert front.begin(0.5, acks=True) == REACHED
    assert front.due_in(0.5) == 0.5
    assert front.begin(INTERVAL, acks=False) is None
    read_front(front, INTERVAL, 0.080)
    assert front.begin(INTERVAL + 0.5, acks=False) == REACHED


def test_a_fetch_from_behind_that_was_held_up_is_repeated() -> None:
    front = Front()
    read_twice(front, 0.0, 0.080)
    read_behind(front, 0.1, 0.090)
    assert front.begin(0.2, acks=False) == REACHED
    read_behind(front, 0.2, 0.001)
    assert front.begin(0.3, acks=False) == REACHED
    assert front.begin(0.3, acks=True) == REACHED


def test_a_slow_network_is_no_slow_front() -> None:
    front = Front()
    read_twice(front, 0.0, 0.080)
    assert front.begin(0.1, acks=False) == REACHED
    for _ in range(2):
        assert front.begin(0.1, acks=False) == REACHED
        read_behind(front, 0.1, 0.079)
    assert front.begin(0.2, acks=False) is None
    read_front(front, RECHECK, 0.080)
    assert front.begin(RECHECK + 0.2, acks=False) == REACHED


def test_what_writes_is_compared_with_what_writes() -> None:
    front = Front()
    read_twice(front, 0.0, 0.080, acks=True)
    assert front.begin(0.1, acks=False) is None
    assert front.begin(0.1, acks=True) == REACHED
    for _ in range(2):
        read_behind(front, 0.1, 0.050, acks=True)
    assert front.begin(0.2, acks=True) is None


def test_a_front_that_is_quick_again_is_read_again() -> None:
    front = slow_front()
    read_front(front, RECHECK, 0.001)
    assert front.begin(RECHECK + 0.2, acks=False) is None
