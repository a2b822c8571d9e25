-- At most :limit attempts of a job after claim :after: those stored, and the running or plainly
-- completed one, which only the job row shows.
SELECT claim, attempt, node, started_at, ended_at, outcome, reason, error, traceback, log FROM run WHERE job_id = :id AND claim > :after
UNION ALL
SELECT claim, attempt, node, started_at, finished_at, CASE WHEN state = 'completed' THEN state END, reason, NULL, NULL, NULL
FROM job
WHERE id = :id AND claim > :after AND state IN ('executing', 'completed') AND started_at IS NOT NULL
  AND (state = 'completed' OR ahead IS NOT claim)
  AND NOT EXISTS (SELECT 1 FROM run WHERE run.job_id = job.id AND run.claim = job.claim)
ORDER BY claim
LIMIT :limit
