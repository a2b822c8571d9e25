"""A database that is away is one trouble of the whole node; anything else is its part's
own.
"""

import pytest

from elihu.errors import DatabaseTimeout, DatabaseUnavailable, DataRefused
from elihu.runtime.failure_log import HEARTBEAT, FailureLog

AWAY = "the database does not answer; the node keeps trying"
BACK = "the database answers again"


@pytest.fixture(autouse=True)
def every_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "elihu")


def test_an_outage_is_logged_once_and_its_end_when_all_work(caplog: pytest.LogCaptureFixture):
    failure_log = FailureLog()
    for _ in range(3):
        failure_log.failed("stager", DatabaseUnavailable("refused"))
        failure_log.failed(HEARTBEAT, DatabaseTimeout("late"))
    assert caplog.messages == [f"{AWAY} (stager: refused)"]
    failure_log.worked(HEARTBEAT)
    assert len(caplog.messages) == 1
    failure_log.worked("stager")
    assert len(caplog.messages) == 1
    failure_log.worked(HEARTBEAT)
    assert caplog.messages[1:] == [BACK]
    failure_log.failed("stager", DatabaseUnavailable("refused"))
    assert len(caplog.messages) == 3


def test_a_part_that_asked_nothing_does_not_end_an_outage(caplog: pytest.LogCaptureFixture):
    failure_log = FailureLog()
    failure_log.failed("stager", DatabaseUnavailable("refused"))
    failure_log.worked("stager")
    failure_log.failed(HEARTBEAT, DatabaseUnavailable("refused"))
    failure_log.worked("stager")
    assert len(caplog.messages) == 1


def test_other_failures_are_each_parts_own(caplog: pytest.LogCaptureFixture):
    failure_log = FailureLog()
    for _ in range(2):
        failure_log.failed("pruner", DataRefused("no"))
        failure_log.failed("stager", RuntimeError("a surprise"))
    failure_log.worked("pruner")
    failure_log.worked("pruner")
    assert caplog.messages == [
        "pruner failed and is tried again: DataRefused: no",
        "stager failed and is tried again: RuntimeError: a surprise",
        "pruner works again",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True, False]
