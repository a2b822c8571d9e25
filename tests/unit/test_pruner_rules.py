"""Which retention wins: a task's own over its queue's, that over the state's."""

from elihu.config import RetentionConfig
from elihu.engines.protocol import PruneRule
from elihu.job import JobState
from elihu.runtime.leader.pruner import prune_rules


def test_each_state_has_a_rule():
    rules = prune_rules(RetentionConfig())
    assert {(rule.state, rule.age) for rule in rules} == {
        (JobState.COMPLETED, 86_400.0),
        (JobState.CANCELLED, 604_800.0),
        (JobState.DISCARDED, 604_800.0),
    }
    assert all(rule.queue is rule.task is None for rule in rules)


def test_a_more_exact_rule_takes_its_jobs_out_of_the_others():
    retention = RetentionConfig(
        states={"completed": 10.0, "discarded": 20.0},
        queues={"mail": {"completed": 5.0}},
        tasks={"welcome": {"completed": 1.0}},
    )
    assert prune_rules(retention) == [
        PruneRule(JobState.COMPLETED, 1.0, task="welcome"),
        PruneRule(JobState.COMPLETED, 5.0, queue="mail", except_tasks=("welcome",)),
        PruneRule(JobState.COMPLETED, 10.0, except_queues=("mail",), except_tasks=("welcome",)),
        PruneRule(JobState.DISCARDED, 20.0),
    ]
