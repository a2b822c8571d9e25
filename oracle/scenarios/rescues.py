"""Rescues that overlap: nodes, their leader and ``elihu tick`` rescue at once, beside
nodes that fetch whatever a rescue makes available.
"""

import asyncio

from elihu.testing.postgres import PostgresServer
from oracle.experiment import QUICK, Experiment
from oracle.programs.plan import Plan
from oracle.scenario import Scenario, Size
from oracle.waiting import until

SLOW_USER = "oracle_slow"
SLOW = f"""
DO $$ BEGIN
  CREATE ROLE {SLOW_USER} LOGIN;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;
GRANT USAGE ON SCHEMA elihu, public TO {SLOW_USER};
GRANT ALL ON ALL TABLES IN SCHEMA elihu TO {SLOW_USER};
GRANT ALL ON ALL SEQUENCES IN SCHEMA elihu TO {SLOW_USER};
GRANT ALL ON ALL FUNCTIONS IN SCHEMA elihu TO {SLOW_USER};
CREATE FUNCTION public.oracle_slowly(state text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF state = 'executing' THEN
    PERFORM pg_sleep(0.02);
  END IF;
  RETURN true;
END $$;
ALTER TABLE elihu.job ENABLE ROW LEVEL SECURITY;
CREATE POLICY oracle_slow ON elihu.job TO {SLOW_USER}
  USING (public.oracle_slowly(state)) WITH CHECK (true);
"""
"""Makes each executing row slow to read for one user: a rescue as this user is under
way for long enough that another can end before it reaches its rows.
"""


async def overlapping(experiment: Experiment, size: Size, server: PostgresServer | None) -> None:
    """Nodes with many running jobs are killed. A slow ``elihu tick`` removes them first
    and begins to rescue; quick ones and the leader overtake it, and the living nodes
    fetch what they rescued. These have fewer slots than jobs run at a time: a node that
    fetches first takes all that it can, and a victim must have jobs too.
    """
    user = None
    if experiment.engine == "postgres":
        await experiment.database.change(SLOW)
        user = SLOW_USER
    later = "8"
    await experiment.nodes(2, QUEUES="default=12", DEAD_AFTER=later)
    for _ in range(2):
        await experiment.ticker(user=user)
    await experiment.ticker(DEAD_AFTER=later)
    enqueuer = await experiment.enqueuer(
        Plan(
            jobs=100_000,
            together=15,
            pause=0.5,
            seconds=(0.5, 1.5),
            failing=0.05,
            seed=experiment.seed,
        )
    )
    for _ in range(size.count(2, 4, 40)):
        victim = await experiment.node(QUEUES="default=50", DEAD_AFTER=later)
        await until(
            lambda victim=victim: experiment.progress.begun_in(victim.pid) > 10,
            within=60,
            what="a victim's jobs",
        )
        removals = len(experiment.progress.lines("removed"))
        await experiment.kill(victim)
        await until(
            lambda removals=removals: len(experiment.progress.lines("removed")) > removals,
            within=60,
            what="the victim's removal",
        )
        await asyncio.sleep(experiment.rng.uniform(1, 2))
    await experiment.kill(enqueuer)
    await experiment.drained(within=60, hurry=True)


SCENARIOS = (
    Scenario("rescues overlap", overlapping, settings={**QUICK, "LIFELINE__INTERVAL": "0.1"}),
)
