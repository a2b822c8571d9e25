"""The pruner: finished jobs leave when their retention is over, and old ticks of cron
entries.
"""

from functools import partial
from typing import ClassVar, Final

from elihu.config import RetentionConfig
from elihu.engines.protocol import PruneRule
from elihu.job import JobState
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, each_duty

TICKS_KEPT: Final = 7 * 86_400.0
"""Seconds for which it can be seen which job a tick of a cron entry stored."""


def prune_rules(retention: RetentionConfig) -> list[PruneRule]:
    """One rule for each table of ages: a task's own wins over its queue's, and that
    over the state's.
    """
    rules = []
    for task, ages in retention.tasks.items():
        rules += [PruneRule(JobState(state), age, task=task) for state, age in ages.items()]
    for queue, ages in retention.queues.items():
        for state, age in ages.items():
            own = tuple(task for task, table in retention.tasks.items() if state in table)
            rules.append(PruneRule(JobState(state), age, queue=queue, except_tasks=own))
    for state, age in retention.states.items():
        tasks = tuple(task for task, table in retention.tasks.items() if state in table)
        queues = tuple(queue for queue, table in retention.queues.items() if state in table)
        rules.append(PruneRule(JobState(state), age, except_tasks=tasks, except_queues=queues))
    return rules


class Pruner(Service):
    """On the leader, every ``pruner.interval``, in batches of ``pruner.limit``."""

    name: ClassVar = "pruner"

    def __init__(self, scope: Scope, leader: Leader) -> None:
        super().__init__(scope)
        self._leader = leader
        self._rules = prune_rules(scope.config.retention)

    async def tick(self) -> Tick:
        options = self.scope.config.pruner
        pruned: list[int] = []
        if self._leader.is_leader:
            rules = [partial(self._prune, rule) for rule in self._rules]
            pruned = await each_duty(*rules, self._prune_ticks)
        return Tick(options.interval, {"pruned_count": sum(pruned)})

    async def _prune(self, rule: PruneRule) -> int:
        limit, pruned = self.scope.config.pruner.limit, 0
        while self._leader.is_leader:
            gone = await self.scope.engine.prune(rule, limit)
            pruned += gone
            if gone < limit:
                break
        return pruned

    async def _prune_ticks(self) -> int:
        """Remove old occurrences of cron entries, which are no jobs."""
        limit = self.scope.config.pruner.limit
        while self._leader.is_leader:
            if await self.scope.engine.prune_ticks(TICKS_KEPT, limit) < limit:
                break
        return 0
