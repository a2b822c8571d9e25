-- At most $3 attempts of job $1 with claims above $2: the stored runs, and the running or plainly
-- completed attempt of the job's row.
SELECT claim, attempt, node::text AS node, started_at, ended_at, outcome, reason, error, traceback, log
FROM elihu.run
WHERE job_id = $1 AND claim > $2::integer
UNION ALL
SELECT claim, attempt, node::text, started_at, finished_at, CASE WHEN state = 'completed' THEN state END, reason, NULL, NULL, NULL
FROM elihu.job j
WHERE id = $1 AND claim > $2::integer AND state IN ('executing','completed') AND started_at IS NOT NULL
  AND (state = 'completed' OR ahead IS DISTINCT FROM claim)
  AND NOT EXISTS (SELECT 1 FROM elihu.run r WHERE r.job_id = j.id AND r.claim = j.claim)
ORDER BY claim
LIMIT $3::integer
