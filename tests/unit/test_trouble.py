"""A database that is away is one trouble of the whole node; anything else is its part's own."""

import pytest

from elihu.errors import DatabaseTimeout, DatabaseUnavailable, DataRefused
from elihu.runtime.trouble import HEARTBEAT, Trouble

AWAY = "the database does not answer, and the node goes on trying"
BACK = "the database answers again"


@pytest.fixture(autouse=True)
def every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "elihu")


def test_an_outage_is_told_once_and_its_end_when_all_work(caplog: pytest.LogCaptureFixture):
    trouble = Trouble()
    for _ in range(3):
        trouble.failed("stager", DatabaseUnavailable("refused"))
        trouble.failed(HEARTBEAT, DatabaseTimeout("late"))
    assert caplog.messages == [f"{AWAY} (stager: refused)"]
    trouble.worked(HEARTBEAT)
    assert len(caplog.messages) == 1
    trouble.worked("stager")
    assert len(caplog.messages) == 1
    trouble.worked(HEARTBEAT)
    assert caplog.messages[1:] == [BACK]
    trouble.failed("stager", DatabaseUnavailable("refused"))
    assert len(caplog.messages) == 3


def test_a_part_that_asked_nothing_does_not_end_an_outage(caplog: pytest.LogCaptureFixture):
    trouble = Trouble()
    trouble.failed("stager", DatabaseUnavailable("refused"))
    trouble.worked("stager")
    trouble.failed(HEARTBEAT, DatabaseUnavailable("refused"))
    trouble.worked("stager")
    assert len(caplog.messages) == 1


def test_other_failures_are_each_parts_own(caplog: pytest.LogCaptureFixture):
    trouble = Trouble()
    for _ in range(2):
        trouble.failed("pruner", DataRefused("no"))
        trouble.failed("stager", RuntimeError("a surprise"))
    trouble.worked("pruner")
    trouble.worked("pruner")
    assert caplog.messages == [
        "pruner failed, and goes on trying: DataRefused: no",
        "stager failed, and goes on trying: RuntimeError: a surprise",
        "pruner works again",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True, False]
