-- How many seconds the last attempts of a task that completed took, among the latest completed jobs.
SELECT finished_at - started_at
FROM (
  SELECT state, task, started_at, finished_at FROM job INDEXED BY job_prune
  WHERE prune_at IS NOT NULL AND state IN ('completed','discarded','cancelled')
  ORDER BY prune_at DESC LIMIT :scan
)
WHERE state = 'completed' AND task = :task AND started_at IS NOT NULL
ORDER BY finished_at DESC
LIMIT :limit
