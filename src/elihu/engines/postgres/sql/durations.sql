-- How many seconds the last attempts of task $1 that completed took, at most $2 of them, among the latest $3 completed jobs.
SELECT extract(epoch FROM finished_at - started_at)::float8 AS seconds
FROM (
  SELECT state, task, started_at, finished_at FROM elihu.job
  WHERE prune_at IS NOT NULL AND state IN ('completed','discarded','cancelled')
  ORDER BY prune_at DESC LIMIT $3::integer
) AS latest
WHERE state = 'completed' AND task = $1 AND started_at IS NOT NULL
ORDER BY finished_at DESC
LIMIT $2::integer
