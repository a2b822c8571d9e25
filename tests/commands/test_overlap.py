"""The rule of overlap, as a table."""

import pytest

from elihu.commands.models import Overlap
from elihu.commands.overlap import NOT_ENDED, ONE_WAITS, Decision, Load, Step, decide

START, WAIT, REPLACE = Decision(Step.START), Decision(Step.WAIT), Decision(Step.REPLACE)
SKIP, FULL = Decision(Step.SKIP, NOT_ENDED), Decision(Step.SKIP, ONE_WAITS)

TABLE: list[tuple[Overlap, list[Decision]]] = [
    # nothing; one active; one waiting; one active and one waiting; many
    ("skip", [START, SKIP, SKIP, SKIP, SKIP]),
    ("queue_one", [START, WAIT, FULL, FULL, FULL]),
    ("queue_all", [START, WAIT, WAIT, WAIT, WAIT]),
    ("cancel_running", [START, REPLACE, REPLACE, REPLACE, REPLACE]),
    ("allow", [START, START, START, START, START]),
]
LOADS = [Load(), Load(1, 0), Load(0, 1), Load(1, 1), Load(7, 9)]


@pytest.mark.parametrize(("policy", "decisions"), TABLE)
def test_each_policy(policy: Overlap, decisions: list[Decision]) -> None:
    assert [decide(policy, load) for load in LOADS] == decisions


@pytest.mark.parametrize("policy", [policy for policy, _ in TABLE])
@pytest.mark.parametrize("load", LOADS)
def test_a_forced_run_starts(policy: Overlap, load: Load) -> None:
    assert decide(policy, load, forced=True) == START
