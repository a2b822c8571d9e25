-- Remove at most $2 ticks that were fired more than $1 seconds ago. No entry needs them: it stores
-- up to which time it is settled.
WITH gone AS (
  DELETE FROM elihu.cron_tick
  WHERE (cron, at) IN (SELECT cron, at FROM elihu.cron_tick WHERE inserted_at < now() - make_interval(secs => $1::float8) LIMIT $2::integer)
  RETURNING at
)
SELECT count(*) FROM gone
