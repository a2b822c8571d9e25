"""The order of claims that wait for a slot, and when more are asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu.engines.protocol import ClaimedJob
from elihu.runtime.queue.line import Line, WaitingClaim

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def claim(number: int, priority: int = 0, expires: float | None = None) -> ClaimedJob:
    fields: dict[str, Any] = dict.fromkeys(ClaimedJob._fields)
    return ClaimedJob(**fields)._replace(
        id=number,
        claim=1,
        priority=priority,
        scheduled_at=NOW + timedelta(seconds=number),
        started_at=NOW,
        expires_at=None if expires is None else NOW + timedelta(seconds=expires),
    )


def ids(line: Line, most: int = 100) -> list[int]:
    return [waiting.claim.id for waiting in line.take(most)]


def test_claims_leave_in_the_order_of_fetch() -> None:
    line = Line(10)
    line.add([claim(1), claim(4), claim(2, priority=5)], 0.0)
    line.add([claim(7), claim(3, priority=1), claim(8, priority=9)], 1.0)
    assert ids(line, 2) == [1, 4]
    assert ids(line) == [7, 3, 2, 8]
    assert len(line) == 0


def test_each_claim_keeps_the_time_of_its_answer() -> None:
    line = Line(10)
    line.add([claim(2)], 1.0)
    line.add([claim(1)], 2.0)
    assert [waiting.since for waiting in line.take(5)] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("most", "waiting", "room"), [(0, 0, 0), (1, 0, 1), (1, 1, 0), (4, 0, 4), (4, 2, 2), (4, 3, 0)]
)
def test_more_is_asked_for_when_half_is_empty(most: int, waiting: int, room: int) -> None:
    line = Line(most)
    if waiting:
        line.add([claim(number) for number in range(waiting)], 0.0)
    assert line.room == room


def test_one_claim_is_taken_out_by_its_key() -> None:
    line = Line(10)
    line.add([claim(1), claim(2), claim(3)], 0.0)
    assert line.remove((2, 2)) is None
    removed = line.remove((2, 1))
    assert removed is not None
    assert removed.id == 2
    assert line.keys == [(1, 1), (3, 1)]
    assert [each.id for each in line.clear()] == [1, 3]
    assert not line.keys


@pytest.mark.parametrize(
    ("expires", "now", "expired"), [(None, 1e9, False), (5, 14.9, False), (5, 15, True)]
)
def test_a_claim_expires_by_the_time_since_its_answer(
    expires: float | None, now: float, expired: bool
) -> None:
    assert WaitingClaim(claim(1, expires=expires), 10.0).expires(now) is expired
