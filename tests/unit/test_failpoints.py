"""Fail points: off unless the environment names one, and then the end of the process."""

import os
import signal
import subprocess
import sys

import pytest

from elihu import failpoints

PROGRAM = """
from elihu.failpoints import reach
for name in ["one", "two", "one", "two", "one"]:
    print(name, flush=True)
    reach(name)
"""


def run(failpoint: str | None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ELIHU_")}
    if failpoint is not None:
        environ["ELIHU_TEST_FAILPOINT"] = failpoint
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("failpoint", "printed"), [("one", 1), ("one:1", 1), ("two", 2), ("one:2", 3), ("one:3", 5)]
)
def test_a_process_kills_itself_when_it_reaches_the_point_that_often(failpoint: str, printed: int):
    done = run(failpoint)
    assert done.returncode == -signal.SIGKILL
    assert len(done.stdout.splitlines()) == printed


@pytest.mark.parametrize("failpoint", [None, "", "three", "two:3"])
def test_it_lives_where_no_such_point_is_reached(failpoint: str | None):
    done = run(failpoint)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 5)


def test_they_are_off_here():
    assert not failpoints.ACTIVE
